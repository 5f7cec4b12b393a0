// `Images`: pushes images to a registry.

import { createHash } from "node:crypto";

const IMAGE = "application/vnd.oci.image.manifest.v1+json";
const INDEX = "application/vnd.oci.image.index.v1+json";
const CONFIG = "application/vnd.oci.image.config.v1+json";
const LAYER = "application/vnd.oci.image.layer.v1.tar+gzip";

const digestOf = (bytes) => `sha256:${createHash("sha256").update(bytes).digest("hex")}`;

/** The content of a layer. */
const content = (layer, architecture, tag) => `${layer} of ${architecture}, ${tag} `.repeat(20_000);

/** The digest of a layer of `Images.image`. */
export const layerDigest = (layer, architecture, tag) => digestOf(content(layer, architecture, tag));

export class Images {
  /** Pushes to `registry`, as a user if one is named. */
  constructor(registry, user, password) {
    this.origin = registry.origin;
    this.headers = user ? { authorization: `Basic ${btoa(`${user}:${password}`)}` } : {};
  }

  async send(method, path, body, type = "application/octet-stream") {
    const headers = { ...this.headers, "content-type": type };
    const response = await fetch(this.origin + path, { method, body, headers });
    if (response.status !== 201) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
  }

  async blob(name, mediaType, content) {
    const bytes = Buffer.from(content);
    const digest = digestOf(bytes);
    await this.send("POST", `/v2/${name}/blobs/uploads/?digest=${digest}`, bytes);
    return { mediaType, digest, size: bytes.length };
  }

  /** Pushes a manifest under a tag, or by its digest. */
  async manifest(name, tag, manifest) {
    const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, ...manifest }));
    const digest = digestOf(bytes);
    await this.send("PUT", `/v2/${name}/manifests/${tag ?? digest}`, bytes, manifest.mediaType);
    return { mediaType: manifest.mediaType, digest, size: bytes.length };
  }

  async image(name, tag, { architecture = "amd64", config = {}, layers = ["one", "two"], ...rest } = {}) {
    const whole = {
      architecture,
      os: "linux",
      created: "2026-10-03T08:12:44Z",
      config: {
        Entrypoint: ["/bin/app"],
        Cmd: ["serve", "--port", "8080"],
        Env: ["PATH=/usr/local/bin:/usr/bin", "LANG=C.UTF-8"],
        Labels: { "org.opencontainers.image.source": "https://example.com/team/app", maintainer: "陳大文 <chan@example.hk>" },
      },
      history: [
        { created_by: "ADD rootfs.tar / # buildkit" },
        { created_by: "ENV LANG=C.UTF-8", empty_layer: true },
        { created_by: "RUN /bin/sh -c apt-get update && apt-get install --yes --no-install-recommends ca-certificates # buildkit" },
      ],
      ...config,
    };
    const descriptors = [];
    for (const layer of layers) {
      descriptors.push(await this.blob(name, LAYER, content(layer, architecture, tag)));
    }
    const configuration = await this.blob(name, CONFIG, JSON.stringify(whole));
    const image = { mediaType: IMAGE, config: configuration, layers: descriptors, ...rest };
    return { ...(await this.manifest(name, tag, image)), platform: { os: "linux", architecture } };
  }

  index(name, tag, manifests) {
    return this.manifest(name, tag, { mediaType: INDEX, manifests });
  }

  async attach(name, subject, artifactType) {
    const empty = await this.blob(name, "application/vnd.oci.empty.v1+json", "{}");
    const { platform, ...descriptor } = subject;
    return this.manifest(name, null, { mediaType: IMAGE, artifactType, config: empty, layers: [empty], subject: descriptor });
  }

  async chart(name, tag) {
    const config = await this.blob(name, "application/vnd.cncf.helm.config.v1+json", JSON.stringify({ name: "redis", version: tag }));
    const layer = await this.blob(name, "application/vnd.cncf.helm.chart.content.v1.tar+gzip", "chart");
    return this.manifest(name, tag, { mediaType: IMAGE, config, layers: [layer] });
  }

  /** A repository with versions, an index with two platforms, a signature and an SBOM. */
  async team(name) {
    for (const version of ["v1.2.0", "v1.10.0"]) {
      const children = [];
      for (const architecture of ["amd64", "arm64"]) {
        children.push(await this.image(name, null, { architecture, layers: [version, `${version} two`] }));
      }
      this.newest = await this.index(name, version, children);
    }
    await this.manifest(name, "latest", { mediaType: INDEX, manifests: (await this.read(name, "v1.10.0")).manifests });
    await this.attach(name, this.newest, "application/vnd.dev.sigstore.bundle.v0.3+json");
    await this.attach(name, this.newest, "application/spdx+json");
    await this.image(name, "dev", { annotations: { "org.opencontainers.image.version": "1.11.0-dev" } });
  }

  async read(name, tag) {
    const response = await fetch(`${this.origin}/v2/${name}/manifests/${tag}`, { headers: { ...this.headers, accept: INDEX } });
    return response.json();
  }

  /** One small image under many tags. */
  async tags(name, tags) {
    const config = await this.blob(name, CONFIG, "{}");
    for (const tag of tags) await this.manifest(name, tag, { mediaType: IMAGE, config, layers: [] });
  }

  /** Everything that the tests of an open registry look at. */
  async usual() {
    await this.team("team/app");
    await this.image("library/alpine", "3.22");
    await this.chart("charts/redis", "20.1.0");
  }

  /** Lists of several pages. */
  async many() {
    await this.tags("many/tags", Array.from({ length: 55 }, (_, number) => `v0.${number}`));
    await Promise.all(Array.from({ length: 100 }, (_, number) => this.tags(`many/repository-${number}`, ["latest"])));
  }
}
