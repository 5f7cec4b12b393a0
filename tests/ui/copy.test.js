// Buttons that copy a command: over HTTPS and localhost by the clipboard, elsewhere by a selection.

import assert from "node:assert/strict";
import { after, before, it } from "node:test";

import { launch, open } from "./support/browser.js";
import { Images } from "./support/images.js";
import { Registry } from "./support/registry.js";

let registry, browser, lan;
before(async () => {
  registry = await Registry.start();
  await new Images(registry).image("library/alpine", "3.22");
  // A name of this machine that browsers do not trust as they trust localhost.
  browser = await launch(["--host-resolver-rules=MAP registry.test 127.0.0.1"]);
  lan = registry.origin.replace("127.0.0.1", "registry.test");
});
after(async () => {
  await browser?.close();
  await registry?.stop();
});

it("a click copies the command, and says so", async () => {
  for (const origin of [registry.origin, lan]) {
    const window = await open(browser, origin);
    const { page } = window;
    await page.goto(`${origin}/ui/library/alpine/-/tags`);
    assert.equal(await page.evaluate(() => isSecureContext), origin === registry.origin);
    const button = page.getByRole("button", { name: "Copy: docker pull" });
    await button.click();
    await page.locator("[role=status]", { hasText: "Copied" }).waitFor({ state: "attached" });
    assert.equal(await button.innerText(), "Copied");
    // Pasting needs no permission.
    await page.locator("#q").focus();
    await page.keyboard.press("Control+V");
    assert.equal(await page.locator("#q").inputValue(), `docker pull ${new URL(origin).host}/library/alpine:3.22`);
    await page.getByRole("button", { name: "Copy", exact: false }).getByText("Copy", { exact: true }).waitFor();
    assert.deepEqual(await window.close(), []);
  }
});

it("without a script no button is there that does nothing", async () => {
  const window = await open(browser, registry.origin, { javaScriptEnabled: false });
  for (const path of ["/library/alpine/-/tags", "/library/alpine/-/tags/3.22"]) {
    await window.page.goto(registry.page(path));
    assert.equal(await window.page.locator("button[data-copy]:visible").count(), 0);
  }
  assert.deepEqual(await window.close(), []);
});
