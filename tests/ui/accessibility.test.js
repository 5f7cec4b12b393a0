// WCAG 2.2 AA, by axe-core: every page, in both themes and languages, wide and narrow.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { after, before, it } from "node:test";

import { launch, logIn, open } from "./support/browser.js";
import { LANGUAGES, Sites, THEMES } from "./support/sites.js";
import { USERS } from "./support/registry.js";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const RULES = {
  runOnly: { type: "tag", values: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"] },
  // It is off by default.
  rules: { "target-size": { enabled: true } },
  resultTypes: ["violations"],
};

let sites, browser;
before(async () => {
  sites = await Sites.start();
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await sites?.stop();
});

/** The violations of the page as it is now. */
async function violations(page) {
  await page.evaluate(AXE);
  const found = await page.evaluate(async (rules) => {
    const { violations, passes } = await axe.run(document, rules);
    const lines = violations.flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${node.html} ${node.failureSummary}`));
    return { lines, passes: passes.length };
  }, RULES);
  assert.ok(found.passes > 10, "axe did not look at the page");
  return found.lines;
}

for (const [locale, lang] of Object.entries(LANGUAGES)) {
  for (const colorScheme of THEMES) {
    it(`no page has a barrier that axe knows (${locale}, ${colorScheme})`, async () => {
      for (const [site, pages] of sites.all()) {
        const window = await open(browser, site.origin, { locale, colorScheme });
        const { page } = window;
        for (const [name, path] of Object.entries(pages)) {
          await page.setViewportSize({ width: name.length % 2 ? 320 : 1280, height: 800 });
          await page.goto(site.page(path));
          assert.equal(await page.locator("html").getAttribute("lang"), lang);
          assert.equal(await page.locator("h1").count(), 1);
          for (const part of await page.locator("details").all()) await part.evaluate((details) => { details.open = true; });
          assert.deepEqual(await violations(page), [], name);
        }
        assert.deepEqual(await window.close(), []);
      }
    });
  }
}

it("a wrong login and a visitor with a login have no barrier either", async () => {
  const window = await open(browser, sites.guarded.origin);
  const { page } = window;
  await page.goto(sites.guarded.page("/-/login"));
  await logIn(page, "ann", "wrong");
  await page.getByRole("alert").waitFor();
  assert.deepEqual(await violations(page), []);
  await logIn(page, "ann", USERS.ann);
  await page.getByText("Logged in as ann").waitFor();
  assert.deepEqual(await violations(page), []);
  assert.deepEqual(await window.close(), []);
});

it("a visitor's own tokens have no barrier, on a narrow window either", async () => {
  const window = await open(browser, sites.guarded.origin, { viewport: { width: 320, height: 640 } });
  const { page } = window;
  await page.goto(sites.guarded.page("/-/tokens"));
  await logIn(page, "ann", USERS.ann);
  await page.locator("#name").fill("ci");
  await page.locator("#on").fill("team/**");
  assert.deepEqual(await violations(page), []);
  await page.getByRole("button", { name: "Create" }).click();
  await page.getByText("docker login").first().waitFor();
  assert.deepEqual(await violations(page), []);
  assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 320);
  await page.getByRole("link", { name: "Revoke" }).click();
  await page.getByRole("button", { name: "Revoke" }).click();
  assert.deepEqual(await violations(page), []);
  assert.deepEqual(await window.close(), []);
});
