// What is nicer with a script. Every page is complete without it.
"use strict";
(() => {
  const say = document.body.dataset.copied;

  // Buttons that copy the text beside them.
  if (navigator.clipboard) {
    for (const button of document.querySelectorAll("button[data-copy]")) {
      button.hidden = false;
      const label = button.textContent;
      button.addEventListener("click", async () => {
        await navigator.clipboard.writeText(button.dataset.copy);
        button.textContent = say;
        setTimeout(() => { button.textContent = label; }, 1500);
      });
    }
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
