// What visitors do, with a script and without: search, sort, open, turn pages, choose a language and a theme.

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";

import { launch, open, rows } from "./support/browser.js";
import { Images } from "./support/images.js";
import { Registry } from "./support/registry.js";

let registry, browser;
before(async () => {
  registry = await Registry.start();
  const images = new Images(registry);
  await images.usual();
  await images.many();
  registry.collect();
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await registry?.stop();
});

for (const javaScriptEnabled of [true, false]) {
  describe(javaScriptEnabled ? "with a script" : "without a script", () => {
    /** Runs a visit, and checks that the pages did nothing that they must not. */
    const visit = (name, steps, options) =>
      it(name, async () => {
        const window = await open(browser, registry.origin, { javaScriptEnabled, ...options });
        try {
          await steps(window.page);
        } finally {
          await window.close();
        }
        assert.deepEqual(window.problems, []);
      });

    visit("the way from the first page to an image", async (page) => {
      await page.goto(registry.origin, { waitUntil: "load" });
      assert.equal(page.url(), registry.page("/"));
      assert.equal(await page.locator("h1").innerText(), "Repositories");
      await page.getByRole("link", { name: "charts/redis" }).click();
      assert.deepEqual(await rows(page), ["20.1.0"]);
      await page.getByRole("link", { name: "20.1.0", exact: true }).click();
      const host = new URL(registry.origin).host;
      const commands = await page.locator(".command code").allInnerTexts();
      assert.deepEqual(commands, [
        `helm pull oci://${host}/charts/redis --version 20.1.0`,
        `oras pull ${host}/charts/redis:20.1.0`,
      ]);
    });

    visit("a prefix leads to what is below it, and back", async (page) => {
      await page.goto(registry.page("/?q=app"));
      await page.locator("a.parent", { hasText: "team" }).click();
      assert.deepEqual(await rows(page), ["team/app"]);
      await page.getByRole("navigation", { name: "Where you are" }).getByRole("link", { name: "Repositories" }).click();
      assert.equal(page.url(), registry.page("/"));
    });

    visit("a search finds names, and says what it did not find", async (page) => {
      await page.goto(registry.page("/"));
      await page.fill("#q", "ALP");
      await page.press("#q", "Enter");
      assert.deepEqual(await rows(page), ["library/alpine"]);
      await page.fill("#q", "<b>[.*]");
      await page.getByRole("button", { name: "Search" }).click();
      assert.match(await page.locator(".empty").innerText(), /“<b>\[\.\*\]”/);
      await page.getByRole("link", { name: "Show all repositories" }).click();
      assert.ok((await rows(page)).length > 1);

      await page.goto(registry.page("/team/app/-/tags"));
      await page.fill("#q", "v1.1");
      await page.press("#q", "Enter");
      assert.deepEqual(await rows(page), ["v1.10.0"]);
    });

    visit("tags sort by push, version, name and size", async (page) => {
      await page.goto(registry.page("/team/app/-/tags"));
      const sorted = async () => [await page.locator("th[aria-sort]").innerText(), await rows(page)];
      assert.deepEqual(await sorted(), ["Pushed", ["dev", "latest", "v1.10.0", "v1.2.0"]]);
      await page.getByRole("link", { name: "Version" }).click();
      assert.deepEqual(await sorted(), ["Version", ["v1.10.0", "v1.2.0", "latest", "dev"]]);
      await page.locator("thead").getByRole("link", { name: "Tag" }).click();
      assert.deepEqual(await sorted(), ["Tag", ["dev", "latest", "v1.10.0", "v1.2.0"]]);
      await page.locator("thead").getByRole("link", { name: "Size" }).click();
      const [column, tags] = await sorted();
      assert.equal(column, "Size");
      // Two tags of one index, which has more than each image.
      assert.deepEqual(tags.slice(0, 2).sort(), ["latest", "v1.10.0"]);
    });

    visit("the same image and what is attached are seen in the list", async (page) => {
      await page.goto(registry.page("/team/app/-/tags"));
      const latest = page.locator("tbody tr", { has: page.getByRole("link", { name: "latest", exact: true }) });
      const text = await latest.innerText();
      for (const part of ["Same image as v1.10.0", "SBOM", "Signature", "linux/amd64, linux/arm64"]) {
        assert.ok(text.includes(part), `${part}: ${text}`);
      }
      await page.getByRole("link", { name: "v1.10.0", exact: true }).click();
      assert.equal(await page.locator("#children + .scroll tbody tr").count(), 2);
      await page.locator("#children + .scroll tbody a").first().click();
      assert.match(await page.locator("h1").innerText(), /^team\/app@sha256:[0-9a-f]{12}$/);
      assert.equal(await page.locator("#layers + .scroll tbody tr").count(), 2);
    });

    visit("the storage page names the largest repository first", async (page) => {
      await page.goto(registry.page("/"));
      await page.getByRole("link", { name: "Storage" }).click();
      const names = await page.locator("#largest + .scroll tbody th").allInnerTexts();
      assert.equal(names[0], "team/app");
      await page.getByRole("link", { name: "team/app" }).click();
      assert.equal(page.url(), registry.page("/team/app/-/tags"));
      await page.goto(registry.page("/"));
      await page.locator("thead").getByRole("link", { name: "Size" }).click();
      assert.equal((await rows(page))[0], "team/app");
    });

    visit("two images are compared from the page of one", async (page) => {
      await page.goto(registry.page("/team/app/-/tags/v1.2.0"));
      await page.getByRole("link", { name: "Compare with" }).click();
      assert.equal(await page.inputValue("#a"), "v1.2.0");
      await page.fill("#b", "v1.10.0");
      await page.getByRole("button", { name: "Compare" }).click();
      await page.getByRole("link", { name: "linux/amd64" }).click();
      assert.ok((await page.getByText("≠").count()) > 0);
    });

    visit("pages of a list have every entry once", async (page) => {
      for (const path of ["/?under=many", "/many/tags/-/tags", "/many/tags/-/tags?sort=version"]) {
        await page.goto(registry.page(path));
        const seen = await rows(page);
        const next = page.getByRole("link", { name: "Next page" });
        while (await next.count()) {
          await next.click();
          seen.push(...(await rows(page)));
        }
        const expected = path.startsWith("/?") ? 101 : 55;
        assert.deepEqual([seen.length, new Set(seen).size], [expected, expected], path);
        await page.getByRole("link", { name: "First page" }).click();
        assert.deepEqual(await rows(page), seen.slice(0, (await rows(page)).length));
      }
    });

    visit("a language and a theme stay, on the same page", async (page) => {
      const here = registry.page("/team/app/-/tags?sort=name");
      await page.goto(here);
      await page.locator(".settings summary").click();
      await page.selectOption("select[name=language]", "zh-Hant");
      await page.selectOption("select[name=theme]", "dark");
      await page.getByRole("button", { name: "Apply" }).click();
      assert.equal(page.url(), here);
      const html = page.locator("html");
      assert.deepEqual([await html.getAttribute("lang"), await html.getAttribute("data-theme")], ["zh-Hant-HK", "dark"]);
      const background = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
      assert.equal(background, "rgb(20, 25, 27)", "dark, although the browser is light");
      await page.goto(registry.page("/"));
      assert.equal(await page.locator("h1").innerText(), "儲存庫");
    });

    visit("the browser's language and theme are the first ones", async (page) => {
      await page.goto(registry.page("/"));
      assert.equal(await page.locator("html").getAttribute("lang"), "zh-Hant-HK");
      const background = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
      assert.equal(background, "rgb(20, 25, 27)");
    }, { locale: "zh-TW", colorScheme: "dark" });

    visit("a missing tag leads back to the tags", async (page) => {
      const response = await page.goto(registry.page("/team/app/-/tags/none"));
      assert.equal(response.status(), 404);
      await page.getByRole("link", { name: "Back to the tags" }).click();
      assert.equal(page.url(), registry.page("/team/app/-/tags"));
    });

    visit("times are in the reader's zone only with a script", async (page) => {
      await page.goto(registry.page("/team/app/-/tags/dev"));
      const created = page.locator("time[datetime^='2026-10-03']");
      const expected = javaScriptEnabled ? /^Oct 3, 2026, 4:12\sPM$/ : /^2026-10-03 08:12 UTC$/;
      assert.match(await created.innerText(), expected);
    }, { timezoneId: "Asia/Hong_Kong" });
  });
}
