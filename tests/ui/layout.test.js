// How pages look: no page scrolls sideways, large text fits, nothing is blank. A person looks at the pictures.

import assert from "node:assert/strict";
import { mkdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, it } from "node:test";
import { fileURLToPath } from "node:url";

import { launch, logIn, open } from "./support/browser.js";
import { USERS } from "./support/registry.js";
import { LANGUAGES, Sites, THEMES } from "./support/sites.js";
import { detail, withPalette } from "./support/png.js";

const PICTURES = process.env.SAMPAN_UI_PICTURES ?? fileURLToPath(new URL("../../target/ui-pictures", import.meta.url));
const DOCS = fileURLToPath(new URL("../../docs", import.meta.url));

/** The pictures of docs/ui.md, which `UPDATE_EXPECT=1` makes anew. */
const IN_DOCS = {
  "ui-tags.png": { path: "/team/app/-/tags", locale: "en", colorScheme: "light", width: 1200, height: 680 },
  "ui-image.png": { path: "/team/app/-/tags/v1.10.0", locale: "zh-HK", colorScheme: "dark", width: 1200, height: 760 },
};

let sites, browser;
before(async () => {
  sites = await Sites.start({ pullHost: "registry.example.com" });
  browser = await launch();
  mkdirSync(PICTURES, { recursive: true });
});
after(async () => {
  await browser?.close();
  await sites?.stop();
});

/** What is wider than its place: the page, or the text of a button, a heading or a cell. */
function tooWide() {
  const found = [];
  const page = document.scrollingElement;
  if (page.scrollWidth > innerWidth) found.push(`the page: ${page.scrollWidth} of ${innerWidth} pixels`);
  for (const it of document.querySelectorAll("h1, h2, button, a, label, select, dt, dd, p")) {
    if (it.scrollWidth > it.clientWidth + 1 && it.clientWidth > 1 && getComputedStyle(it).display !== "inline") {
      found.push(it.outerHTML.slice(0, 120));
    }
  }
  return found;
}

for (const [locale] of Object.entries(LANGUAGES)) {
  for (const colorScheme of THEMES) {
    it(`no page is too wide or blank (${locale}, ${colorScheme})`, async () => {
      for (const [site, pages] of sites.all()) {
        const window = await open(browser, site.origin, { locale, colorScheme });
        const { page } = window;
        for (const [name, path] of Object.entries(pages)) {
          for (const width of [320, 1280]) {
            await page.setViewportSize({ width, height: 800 });
            await page.goto(site.page(path));
            assert.deepEqual(await page.evaluate(tooWide), [], `${name} at ${width}`);
            const file = `${name.replaceAll(" ", "-")}-${width}-${locale}-${colorScheme}.png`;
            const picture = await page.screenshot({ path: join(PICTURES, file) });
            assert.ok(detail(picture) > 0.003, `${file} is blank: ${detail(picture)}`);
            await page.locator(".settings summary").click();
            assert.deepEqual(await page.evaluate(tooWide), [], `${name} at ${width}, with the settings`);
          }
        }
        assert.deepEqual(await window.close(), []);
      }
    });
  }
}

it("the pages of a visitor with a login fit, too", async () => {
  for (const [locale, colorScheme] of [["en", "light"], ["en", "dark"], ["zh-HK", "light"], ["zh-HK", "dark"]]) {
    const window = await open(browser, sites.guarded.origin, { locale, colorScheme });
    const { page } = window;
    const fits = async (name) => {
      for (const width of [320, 1280]) {
        await page.setViewportSize({ width, height: 800 });
        assert.deepEqual(await page.evaluate(tooWide), [], `${name} at ${width}`);
        await page.screenshot({ path: join(PICTURES, `${name.replaceAll(" ", "-")}-${width}-${locale}-${colorScheme}.png`) });
      }
    };
    await page.goto(sites.guarded.page("/-/tokens"));
    await fits("login for tokens");
    await logIn(page, "ann", "wrong");
    await fits("wrong login");
    await logIn(page, "ann", USERS.ann);
    await fits("no token");
    const name = `ci-${locale}-${colorScheme}`;
    await page.fill("#name", name);
    await page.fill("#on", "team/** library/*");
    await page.click("main button.main");
    await page.locator(".note .command").first().waitFor();
    await fits("new token");
    await page.goto(sites.guarded.page("/-/tokens"));
    await fits("tokens");
    await page.locator("tbody a").first().click();
    await fits("revocation");
    await page.click("main button.danger");
    assert.deepEqual(await window.close(), []);
  }
});

it("text of twice the size fits, on a wide and on a narrow window", async () => {
  for (const [site, pages] of sites.all()) {
    const window = await open(browser, site.origin);
    const { page } = window;
    const settings = await window.context.newCDPSession(page);
    await settings.send("Page.enable");
    await settings.send("Page.setFontSizes", { fontSizes: { standard: 32, fixed: 26 } });
    for (const [name, path] of Object.entries(pages)) {
      for (const width of [640, 1280]) {
        await page.setViewportSize({ width, height: 800 });
        await page.goto(site.page(path));
        const size = await page.evaluate(() => parseFloat(getComputedStyle(document.body).fontSize));
        assert.equal(size, 32);
        assert.deepEqual(await page.evaluate(tooWide), [], `${name} at ${width}`);
      }
    }
    await page.screenshot({ path: join(PICTURES, `large-text-${Object.keys(pages)[0].replaceAll(" ", "-")}.png`) });
    assert.deepEqual(await window.close(), []);
  }
});

it("a picture without content is blank", async () => {
  const page = await browser.newPage();
  assert.ok(detail(await page.screenshot()) < 0.001);
  await page.close();
});

it("the pictures of the documentation are there, and small", async () => {
  for (const [file, { path, width, height, ...options }] of Object.entries(IN_DOCS)) {
    const window = await open(browser, sites.open.origin, { viewport: { width, height }, timezoneId: "Asia/Hong_Kong", ...options });
    await window.page.goto(sites.open.page(path));
    const picture = await window.page.screenshot();
    if (process.env.UPDATE_EXPECT) writeFileSync(join(DOCS, file), withPalette(picture));
    assert.deepEqual(await window.close(), []);
    const bytes = statSync(join(DOCS, file)).size;
    assert.ok(bytes < 60 << 10, `${file} has ${bytes} bytes`);
  }
});
