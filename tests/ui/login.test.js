// Logins: who sees what, wrong passwords, the end of a session, and the ways in which another site could use one.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { after, before, describe, it } from "node:test";

import { launch, logIn, open, rows } from "./support/browser.js";
import { Images } from "./support/images.js";
import { Registry, USERS } from "./support/registry.js";

let registry, browser, other, elsewhere, otherPage;
before(async () => {
  registry = await Registry.start({ users: true });
  const images = new Images(registry, "ben", USERS.ben);
  for (const name of ["public/alpine", "team/app", "secret/app"]) await images.tags(name, ["v1"]);
  browser = await launch();
  // Another site of the same browser.
  other = createServer((_, response) => response.setHeader("content-type", "text/html").end(otherPage));
  other.listen(0, "127.0.0.1");
  await once(other, "listening");
  elsewhere = `http://localhost:${other.address().port}/`;
});
after(async () => {
  await browser?.close();
  other?.close();
  other?.closeAllConnections();
  await registry?.stop();
});

for (const javaScriptEnabled of [true, false]) {
  describe(javaScriptEnabled ? "with a script" : "without a script", () => {
    it("a login leads to the wanted page, and a logout hides it", async () => {
      const window = await open(browser, registry.origin, { javaScriptEnabled });
      const { page } = window;
      await page.goto(registry.page("/"));
      assert.deepEqual(await rows(page), ["public/alpine"]);
      const wanted = registry.page("/team/app/-/tags?sort=name");
      assert.equal((await page.goto(wanted)).status(), 401);

      await logIn(page, "ann", "wrong");
      const alert = page.getByRole("alert");
      assert.equal(await alert.innerText(), "Unknown user or wrong password.");
      assert.deepEqual([await page.inputValue("#user"), await page.inputValue("#password")], ["ann", ""]);
      assert.equal(await page.locator("#password").getAttribute("aria-describedby"), await alert.getAttribute("id"));

      await logIn(page, "ann", USERS.ann);
      assert.equal(page.url(), wanted);
      assert.deepEqual(await rows(page), ["v1"]);
      await page.goto(registry.page("/"));
      assert.deepEqual(await rows(page), ["public/alpine", "team/app"]);
      assert.equal((await page.goto(registry.page("/secret/app/-/tags"))).status(), 404);
      await page.goto(wanted);

      await page.getByRole("button", { name: "Log out" }).click();
      assert.deepEqual(await rows(page), ["public/alpine"]);
      await page.goBack();
      assert.deepEqual(await rows(page), [], "the page before the logout");
      assert.equal(await page.locator("#password").count(), 1);
      assert.deepEqual(await window.close(), []);
    });

    it("a new password ends the session", async () => {
      const window = await open(browser, registry.origin, { javaScriptEnabled });
      const { page } = window;
      await page.goto(registry.page("/-/login"));
      await logIn(page, "ann", USERS.ann);
      assert.equal(await page.getByText("Logged in as ann").count(), 1);
      USERS.ann += "+";
      registry.setPassword("ann", USERS.ann);
      // The registry looks at the file once a second.
      await assertSoon(async () => {
        await page.goto(registry.page("/team/app/-/tags"));
        return (await page.locator("#password").count()) === 1;
      });
      await logIn(page, "ann", USERS.ann);
      assert.deepEqual(await rows(page), ["v1"]);
      assert.deepEqual(await window.close(), []);
    });
  });
}

/** Tries until `check` is true; the test runner has the only limit. */
async function assertSoon(check) {
  while (!(await check()));
}

/** A window with a login. */
async function windowOf(user) {
  const window = await open(browser, registry.origin);
  await window.page.goto(registry.page("/-/login"));
  await logIn(window.page, user, USERS[user]);
  await window.page.getByText(`Logged in as ${user}`).waitFor();
  return window;
}

it("a script cannot read the session, and other sites do not send it with forms", async () => {
  const window = await windowOf("ben");
  assert.equal(await window.page.evaluate(() => document.cookie), "");
  const [cookie] = (await window.context.cookies()).filter((cookie) => cookie.name === "sampan");
  assert.deepEqual([cookie.httpOnly, cookie.sameSite, cookie.path], [true, "Lax", "/"]);
  assert.deepEqual(await window.close(), []);
});

it("nothing that asks for a page elsewhere leads there", async () => {
  const window = await open(browser, registry.origin);
  const { page } = window;
  for (const next of [
    elsewhere, `//localhost:${other.address().port}/`, "/\\localhost", "\\\\localhost", "/ui//../..//localhost/", "/ui/%2e%2e/v2/",
    "/ui/..", "/ui/.%2E/v2/", "/ui/\t/localhost", "javascript:alert(1)", "/v2/_catalog", "/ui/-/logout/../../../v2/",
  ]) {
    await window.context.clearCookies();
    await page.goto(`${registry.page("/-/login")}?next=${encodeURIComponent(next)}`);
    await logIn(page, "ben", USERS.ben);
    assert.equal(page.url(), registry.page("/"), next);
  }
  assert.deepEqual(await window.close(), []);
});

it("a form of another site changes nothing, even with the token of the session", async () => {
  const window = await windowOf("ben");
  const { page } = window;
  const token = await page.locator("form.user input[name=token]").inputValue();
  for (const [action, fields] of [
    ["/-/logout", { token }],
    ["/-/preferences", { token: await page.locator(".settings input[name=token]").inputValue(), theme: "dark" }],
    ["/-/collections/run", { token, mode: "run" }],
  ]) {
    const inputs = Object.entries(fields).map(([name, value]) => `<input name="${name}" value="${value}">`);
    otherPage = `<form method="post" action="${registry.page(action)}">${inputs.join("")}<button>Win</button></form>`;
    await page.goto(elsewhere);
    const [response] = await Promise.all([page.waitForNavigation(), page.click("button")]);
    assert.equal(response.status(), 403, action);
    assert.equal((await response.allHeaders())["set-cookie"], undefined);
    // The browser does not send the session with such a form.
    assert.equal((await response.request().allHeaders()).cookie, undefined);
  }
  await page.goto(registry.page("/team/app/-/tags"));
  assert.deepEqual(await rows(page), ["v1"]);
  assert.equal(await page.locator("html").getAttribute("data-theme"), "auto");
  const expected = (problem) => problem.startsWith(`asks ${elsewhere}`);
  assert.deepEqual((await window.close()).filter((problem) => !expected(problem)), []);
});

it("another site can neither frame a page nor read it", async () => {
  const window = await windowOf("ben");
  const { page } = window;
  otherPage = `<iframe src="${registry.page("/team/app/-/tags")}"></iframe>`;
  await page.goto(elsewhere);
  const frame = page.frames()[1];
  assert.equal(await frame.locator("table").count(), 0);
  assert.match(frame.url(), /^chrome-error:/);
  const read = await page.evaluate(async (url) => {
    const response = await fetch(url, { credentials: "include" });
    return response.text();
  }, registry.page("/")).catch((error) => error.message);
  assert.match(read, /Failed to fetch/);
  // A link from elsewhere finds one logged in.
  otherPage = `<a href="${registry.page("/team/app/-/tags")}">see</a>`;
  await page.goto(elsewhere);
  await page.click("a");
  await page.getByText("Logged in as ben").waitFor();
  await window.close();
});

it("two windows of a browser have the last login, and the older form is refused", async () => {
  const window = await windowOf("ben");
  const { page } = window;
  await page.goto(registry.page("/secret/app/-/tags"));
  const second = await window.context.newPage();
  await second.goto(registry.page("/-/login"));
  await logIn(second, "ann", USERS.ann);
  await second.getByText("Logged in as ann").waitFor();

  const [refused] = await Promise.all([page.waitForNavigation(), page.getByRole("button", { name: "Log out" }).click()]);
  assert.equal(refused.status(), 403);
  assert.match(await page.locator("main").innerText(), /The form did not come from this page/);
  assert.equal((await page.goto(registry.page("/secret/app/-/tags"))).status(), 404);
  await second.reload();
  await second.getByText("Logged in as ann").waitFor();

  // Another browser has its own.
  const stranger = await open(browser, registry.origin);
  await stranger.page.goto(registry.page("/"));
  assert.deepEqual(await rows(stranger.page), ["public/alpine"]);
  assert.deepEqual([...(await stranger.close()), ...(await window.close())], []);
});
