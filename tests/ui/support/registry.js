// `Registry`: the built binary on a free port, over a directory of its own.

import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const target = process.env.CARGO_TARGET_DIR ?? fileURLToPath(new URL("../../../target", import.meta.url));
const binary = process.env.SAMPAN_REGISTRY ?? join(target, "debug", "registry");

/** The users of a registry with passwords. */
export const USERS = { ann: "ann-password", ben: "ben-password" };

/** Anonymous visitors see what is below `public/`, users all but what is below `secret/`. */
const RULES = `
auth: {htpasswd: {realm: Registry, path: htpasswd}}
access:
  rules:
    - {who: anonymous, may: pull, on: 'public/**'}
    - {who: users, may: [push, delete], on: '**', except: 'secret/**'}
    - {who: 'user:ben', may: [push, delete], on: 'secret/**'}
`;

export class Registry {
  /** Starts a registry; with `users` it has `RULES`, and asks for a login. */
  static async start({ users = false, pullHost = null } = {}) {
    if (!existsSync(binary)) {
      throw new Error(`${binary} is missing: run \`cargo build --workspace --bin registry\`, or name another in SAMPAN_REGISTRY`);
    }
    const folder = mkdtempSync(join(tmpdir(), "sampan-ui-"));
    const config = `
version: 0.1
log: {level: info}
storage: {filesystem: {rootdirectory: data}, delete: {enabled: true}}
http: {addr: '127.0.0.1:0'}
ui: {enabled: true, title: Harbour Street${pullHost ? `, pullhost: ${pullHost}` : ""}}
${users ? RULES : ""}`;
    writeFileSync(join(folder, "config.yml"), config);
    const registry = new Registry(folder);
    if (users) {
      for (const [user, password] of Object.entries(USERS)) registry.setPassword(user, password);
    }
    const child = spawn(binary, ["serve", "config.yml"], { cwd: folder, stdio: ["ignore", "ignore", "pipe"] });
    registry.child = child;
    const log = [];
    for await (const line of createInterface({ input: child.stderr })) {
      log.push(line);
      const port = /listening on 127\.0\.0\.1:(\d+)/.exec(line)?.[1];
      if (port) {
        registry.origin = `http://127.0.0.1:${port}`;
        // It would stop at a full pipe.
        child.stderr.resume();
        return registry;
      }
    }
    await registry.stop();
    throw new Error(`the registry does not listen:\n${log.join("\n")}`);
  }

  constructor(folder) {
    this.folder = folder;
  }

  /** The URL of a page. */
  page(path) {
    return `${this.origin}/ui${path}`;
  }

  /** Runs a command of the registry in its folder. */
  run(args, input = "") {
    execFileSync(binary, args, { cwd: this.folder, input, stdio: ["pipe", "ignore", "pipe"] });
  }

  /** Adds a user, or changes the password. */
  setPassword(user, password) {
    this.run(["htpasswd", "add", "htpasswd", user], password);
  }

  /** Collects garbage beside the running registry; everything here is too young. */
  collect() {
    this.run(["garbage-collect", "config.yml"]);
  }

  async stop() {
    if (this.child.exitCode === null && this.child.signalCode === null) {
      this.child.kill();
      await once(this.child, "exit");
    }
    rmSync(this.folder, { recursive: true, force: true });
  }
}
