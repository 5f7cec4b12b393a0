// Deletion, with a script and without: a preview that changes nothing, the act, and the way back.

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";

import { launch, open, rows } from "./support/browser.js";
import { Images } from "./support/images.js";
import { Registry } from "./support/registry.js";

let registry, browser, images;
before(async () => {
  registry = await Registry.start();
  images = new Images(registry);
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await registry?.stop();
});

for (const javaScriptEnabled of [true, false]) {
  describe(javaScriptEnabled ? "with a script" : "without a script", () => {
    const name = javaScriptEnabled ? "team/script" : "team/plain";
    const list = () => registry.page(`/${name}/-/tags?sort=name`);
    before(() => images.tags(name, ["v1", "v2", "v3"]));

    /** Runs a visit that begins at the list of tags, and checks that the pages did nothing that they must not. */
    const visit = (title, steps) =>
      it(title, async () => {
        const window = await open(browser, registry.origin, { javaScriptEnabled });
        await window.page.goto(list());
        await steps(window.page);
        assert.deepEqual(await window.close(), []);
      });

    visit("a preview changes nothing", async (page) => {
      await page.getByRole("checkbox", { name: "v1" }).check();
      await page.getByRole("checkbox", { name: "v2" }).check();
      await page.getByRole("button", { name: "Delete the selected tags" }).click();
      const going = page.locator("#going + .scroll tbody th");
      assert.deepEqual(await going.allInnerTexts(), ["v1", "v2"]);
      assert.match(await page.locator("main").innerText(), /v3/, "the tag of the same image that stays");
      await page.getByRole("link", { name: "Cancel" }).click();
      await page.goto(list());
      assert.deepEqual(await rows(page), ["v1", "v2", "v3"]);
    });

    visit("a tag goes, and comes back", async (page) => {
      await page.getByRole("checkbox", { name: "v1" }).check();
      await page.getByRole("button", { name: "Delete the selected tags" }).click();
      await page.getByRole("button", { name: "Delete", exact: true }).click();
      await page.goto(list());
      assert.deepEqual(await rows(page), ["v2", "v3"]);
      await page.getByRole("link", { name: "Removed tags" }).click();
      await page.getByRole("button", { name: "Restore: v1" }).click();
      await page.goto(list());
      assert.deepEqual(await rows(page), ["v1", "v2", "v3"]);
    });

    visit("a tag that was pushed after the preview stays", async (page) => {
      await page.getByRole("checkbox", { name: "v1" }).check();
      await page.getByRole("button", { name: "Delete the selected tags" }).click();
      await images.image(name, "v1");
      await page.getByRole("button", { name: "Delete", exact: true }).click();
      assert.match(await page.getByRole("alert").innerText(), /./);
      await page.goto(list());
      assert.deepEqual(await rows(page), ["v1", "v2", "v3"]);
    });

    if (javaScriptEnabled) {
      visit("one box selects all the others", async (page) => {
        const boxes = page.locator("input[name=tag]");
        const checked = () => boxes.evaluateAll((all) => all.filter((box) => box.checked).length);
        const all = page.getByRole("checkbox", { name: "Select all" });
        await all.check();
        assert.equal(await checked(), 3);
        await all.uncheck();
        assert.equal(await checked(), 0);
      });
    }

    visit("a repository goes only with its name typed", async (page) => {
      await page.getByRole("link", { name: "Delete the repository" }).click();
      await page.fill("#name", `${name}x`);
      await page.getByRole("button", { name: "Delete", exact: true }).click();
      await page.getByRole("alert").waitFor();
      assert.equal(await page.locator("#name").getAttribute("aria-invalid"), "true");
      await page.fill("#name", name);
      await page.getByRole("button", { name: "Delete", exact: true }).click();
      await page.goto(list());
      assert.deepEqual(await rows(page), []);
    });
  });
}
