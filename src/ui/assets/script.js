// What is nicer with a script. Every page is complete without it.
"use strict";
(() => {
  // Buttons that copy a command. Browsers have a clipboard for HTTPS and localhost alone; elsewhere a selection is copied.
  const status = document.querySelector("[data-copied]");
  const copy = async (text) => {
    if (navigator.clipboard) return navigator.clipboard.writeText(text);
    const field = document.createElement("textarea");
    field.value = text;
    field.className = "hidden";
    const focused = document.activeElement;
    document.body.append(field);
    field.select();
    const isCopied = document.execCommand("copy");
    field.remove();
    focused.focus();
    if (!isCopied) throw new Error("the browser copies nothing");
  };
  for (const button of document.querySelectorAll("button[data-copy]")) {
    button.hidden = false;
    const label = button.textContent;
    button.addEventListener("click", async () => {
      try {
        await copy(button.dataset.copy);
      } catch {
        return;
      }
      status.textContent = button.textContent = status.dataset.copied;
      setTimeout(() => { button.textContent = label; status.textContent = ""; }, 1500);
    });
  }

  // "/" leads to the search field.
  document.addEventListener("keydown", (event) => {
    const field = document.querySelector("[data-search]");
    const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
    if (event.key === "/" && field && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      field.focus();
    }
  });

  // Times in the reader's zone; the title keeps UTC.
  const format = new Intl.DateTimeFormat(document.documentElement.lang, { dateStyle: "medium", timeStyle: "short" });
  for (const time of document.querySelectorAll("time[datetime]")) {
    const date = new Date(time.dateTime);
    if (!Number.isNaN(date.getTime())) {
      time.title = time.textContent;
      time.textContent = format.format(date);
    }
  }

  // One box that selects all the others of its form.
  for (const all of document.querySelectorAll("input[data-all]")) {
    all.closest("label").hidden = false;
    const others = () => all.form.querySelectorAll(`input[name="${all.dataset.all}"]`);
    all.addEventListener("change", () => { for (const box of others()) box.checked = all.checked; });
  }

  // A click beside the settings closes them, and so does Escape.
  const settings = document.querySelector("details.settings");
  document.addEventListener("click", (event) => {
    if (!settings.contains(event.target)) settings.open = false;
  });
  settings.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      settings.open = false;
      settings.querySelector("summary").focus();
    }
  });
})();
