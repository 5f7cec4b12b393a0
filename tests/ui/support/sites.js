// `Sites`: registries whose pages are all of the pages, each by a name and its path below `/ui`.

import { Images, layerDigest } from "./images.js";
import { Registry } from "./registry.js";

/** The pages of a registry with images. */
export const PAGES = {
  repositories: "/",
  "repositories by size": "/?sort=size",
  "a prefix": "/?under=team",
  "no repository found": "/?q=none-of-them",
  tags: "/team/app/-/tags",
  "tags by version": "/team/app/-/tags?sort=version",
  "tags by size": "/team/app/-/tags?sort=size",
  "no order": "/team/app/-/tags?sort=odd",
  index: "/team/app/-/tags/v1.10.0",
  image: "/team/app/-/tags/dev",
  "images with a layer": `/team/app/-/layers/${layerDigest("one", "amd64", "dev")}`,
  comparison: "/team/app/-/compare?a=v1.2.0&b=v1.10.0",
  "comparison for a platform": "/team/app/-/compare?a=v1.2.0&b=v1.10.0&platform=linux%2Famd64",
  "comparison with nothing": "/team/app/-/compare?a=v1.2.0&b=none",
  storage: "/-/storage",
  chart: "/charts/redis/-/tags/20.1.0",
  deletion: "/team/app/-/delete?tag=dev&tag=latest&tag=none",
  "deletion of all": "/team/app/-/delete?all=1",
  restore: "/team/app/-/restore",
  collections: "/-/collections",
  missing: "/team/app/-/tags/none",
};

/** The pages of a registry with users, for a visitor without a login. */
const GUARDED = {
  login: "/-/login",
  "needs a login": "/team/app/-/tags",
  "nothing to see": "/",
};

/** The pages of a registry without images. */
const EMPTY = { "nothing yet": "/" };

export const LANGUAGES = { en: "en", "zh-HK": "zh-Hant-HK" };
export const THEMES = ["light", "dark"];

export class Sites {
  static async start(options) {
    const sites = new Sites();
    sites.open = await Registry.start(options);
    await new Images(sites.open).usual();
    // It surveys the store, so that the pages have sizes.
    sites.open.collect();
    sites.guarded = await Registry.start({ users: true });
    sites.empty = await Registry.start();
    return sites;
  }

  /** Each registry with its pages. */
  all() {
    return [[this.open, PAGES], [this.guarded, GUARDED], [this.empty, EMPTY]];
  }

  async stop() {
    for (const [registry] of this.all()) await registry?.stop();
  }
}
