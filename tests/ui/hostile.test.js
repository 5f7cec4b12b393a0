// Images that were made to break the page: their words are words.

import assert from "node:assert/strict";
import { after, before, it } from "node:test";

import { launch, open } from "./support/browser.js";
import { Images } from "./support/images.js";
import { Registry } from "./support/registry.js";

const EVIL = [
  "<script>document.title = 'taken'; alert(1)</script>",
  "\"><img src=x onerror=alert(1)>",
  "'><svg onload=alert(1)>",
  "javascript:alert(1)",
  "https://evil.example/\"onmouseover=alert(1)",
  "{{7*7}}${7*7}",
  "exe.\u202egnp\u2066",
  "a\u0000b\u001b[31m",
  "</table></main><base href='https://evil.example/'><style>*{display:none}</style>",
];

let registry, browser;
before(async () => {
  registry = await Registry.start();
  const images = new Images(registry);
  const labels = Object.fromEntries(EVIL.map((text) => [text, text]));
  const annotations = { ...labels, "org.opencontainers.image.title": EVIL[0], "org.opencontainers.image.version": EVIL[1] };
  const config = {
    os: EVIL[0],
    variant: EVIL[1],
    config: { Labels: { ...labels, big: "x".repeat(500_000) }, Env: EVIL, User: EVIL[1], Entrypoint: EVIL, ExposedPorts: { [EVIL[0]]: {} } },
    history: Array.from({ length: 1000 }, (_, number) => ({ created_by: EVIL[number % EVIL.length] })),
  };
  const image = await images.image("hostile", "v1", { architecture: EVIL[4], config, annotations });
  await images.index("hostile", "index", [{ ...image, annotations, platform: { os: EVIL[0], architecture: EVIL[1], variant: EVIL[2] } }]);
  await images.attach("hostile", image, EVIL[1]);
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await registry?.stop();
});

it("the words of an image do nothing", async () => {
  const window = await open(browser, registry.origin, { viewport: { width: 320, height: 640 } });
  const { page } = window;
  for (const path of ["/", "/hostile/-/tags", "/hostile/-/tags/v1", "/hostile/-/tags/index", `/?q=${encodeURIComponent(EVIL[0])}`,
    `/hostile/-/tags?q=${encodeURIComponent(EVIL[1])}`, `/hostile/-/tags?sort=${encodeURIComponent(EVIL[2])}`]) {
    await page.goto(registry.page(path));
    for (const part of await page.locator("details").all()) await part.evaluate((details) => { details.open = true; });
    const found = await page.evaluate(() => ({
      title: document.title,
      elements: document.querySelectorAll("img, svg, base, style, iframe, object, main script").length,
      handlers: [...document.querySelectorAll("*")].filter((it) => [...it.attributes].some(({ name }) => name.startsWith("on") || name === "style")).length,
      links: [...document.links].map((link) => link.href).filter((href) => !href.startsWith(location.origin)),
      hidden: /[\u0000-\u0008\u000b-\u001f\u202a-\u202e\u2066-\u2069]/.test(document.body.textContent),
      width: document.documentElement.scrollWidth,
    }));
    assert.ok(found.title.endsWith("Harbour Street"), found.title);
    assert.deepEqual({ ...found, title: "" }, { title: "", elements: 0, handlers: 0, links: [], hidden: false, width: 320 }, path);
  }
  assert.deepEqual(await window.close(), []);
});

it("a page that an image makes large is still small", async () => {
  const response = await fetch(registry.page("/hostile/-/tags/v1"));
  const page = await response.text();
  assert.ok(page.length < 128 << 10, `${page.length} bytes`);
  // The most of the thousand steps.
  const hidden = [...page.matchAll(/(\d+) more are not shown\./g)].map(([, count]) => Number(count));
  assert.ok(hidden.some((count) => count > 500 && count < 1000), `${hidden}`);
});
