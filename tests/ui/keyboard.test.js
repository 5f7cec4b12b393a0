// The keyboard alone: an order that follows the page, a focus that is seen, and keys that do what people expect.

import assert from "node:assert/strict";
import { after, before, it } from "node:test";

import { launch, open } from "./support/browser.js";
import { Sites, THEMES } from "./support/sites.js";

let sites, browser;
before(async () => {
  sites = await Sites.start();
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await sites?.stop();
});

/** The focused element: its place in the page, and whether its focus can be seen. */
function focused() {
  const element = document.activeElement;
  if (element === document.body) return null;
  const style = getComputedStyle(element);
  const box = element.getBoundingClientRect();
  return {
    index: [...document.querySelectorAll("*")].indexOf(element),
    name: element.outerHTML.slice(0, 120),
    outline: style.outlineStyle === "none" ? 0 : parseFloat(style.outlineWidth),
    isVisible: box.width > 0 && box.height > 0 && box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth,
    height: box.height,
  };
}

for (const colorScheme of THEMES) {
  it(`every link, field and button is reached in order, and seen (${colorScheme})`, async () => {
    for (const [site, pages] of sites.all()) {
      const window = await open(browser, site.origin, { colorScheme });
      const { page } = window;
      for (const [name, path] of Object.entries(pages)) {
        await page.goto(site.page(path));
        const reached = [];
        for (;;) {
          await page.keyboard.press("Tab");
          const at = await page.evaluate(focused);
          // After the last one comes the browser's own window, or the first one again.
          if (!at || at.index === reached[0]) break;
          assert.ok(at.outline >= 2 && at.isVisible, `${name}: the focus cannot be seen: ${JSON.stringify(at)}`);
          assert.ok(reached.length === 0 || at.index > reached.at(-1), `${name}: out of order: ${at.name}`);
          reached.push(at.index);
        }
        const expected = await page.evaluate(() => {
          const all = [...document.querySelectorAll("*")];
          const wanted = document.querySelectorAll("a[href], button, input:not([type=hidden]), select, summary, [tabindex='0']");
          return [...wanted].filter((it) => it.checkVisibility({ visibilityProperty: true })).map((it) => all.indexOf(it));
        });
        assert.deepEqual(reached, expected, name);
      }
      assert.deepEqual(await window.close(), []);
    }
  });
}

it("the first key leads past the menu", async () => {
  const window = await open(browser, sites.open.origin);
  const { page } = window;
  await page.goto(sites.open.page("/team/app/-/tags"));
  const skip = page.getByRole("link", { name: "Skip to the content" });
  assert.ok((await skip.boundingBox()).x < 0, "out of sight until it is needed");
  await page.keyboard.press("Tab");
  assert.ok((await skip.boundingBox()).x >= 0);
  await page.keyboard.press("Enter");
  assert.equal(await page.evaluate(() => document.activeElement.id), "content");
  await page.keyboard.press("Tab");
  assert.ok(await page.evaluate(() => document.activeElement.closest("main") !== null));
  assert.deepEqual(await window.close(), []);
});

it("the settings open and close by keys, and the focus stays", async () => {
  const window = await open(browser, sites.open.origin);
  const { page } = window;
  await page.goto(sites.open.page("/"));
  const settings = page.locator("details.settings");
  const isOpen = () => settings.evaluate((it) => it.open);
  await settings.locator("summary").focus();
  await page.keyboard.press("Enter");
  assert.equal(await isOpen(), true);
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.name), "language");
  await page.keyboard.press("Escape");
  assert.equal(await isOpen(), false);
  assert.equal(await page.evaluate(() => document.activeElement.tagName), "SUMMARY");
  await page.keyboard.press("Space");
  assert.equal(await isOpen(), true);
  await page.locator("h1").click();
  assert.equal(await isOpen(), false);
  assert.deepEqual(await window.close(), []);
});

it("a slash leads to the search, but for fields", async () => {
  const window = await open(browser, sites.open.origin);
  const { page } = window;
  await page.goto(sites.open.page("/"));
  await page.keyboard.press("/");
  assert.equal(await page.evaluate(() => document.activeElement.id), "q");
  await page.keyboard.type("team/a");
  await page.keyboard.press("Enter");
  await page.waitForURL("**/?q=team%2Fa");
  assert.deepEqual(await window.close(), []);
});

it("a login needs no mouse", async () => {
  const window = await open(browser, sites.guarded.origin);
  const { page } = window;
  await page.goto(sites.guarded.page("/-/login"));
  await page.locator("#user").focus();
  await page.keyboard.type("ann");
  await page.keyboard.press("Tab");
  await page.keyboard.type("ann-password");
  await page.keyboard.press("Enter");
  await page.getByText("Logged in as ann").waitFor();
  assert.deepEqual(await window.close(), []);
});
