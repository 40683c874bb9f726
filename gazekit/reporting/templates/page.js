"use strict";
(() => {
  document.documentElement.classList.add("scripted");
  const byId = (id) => document.getElementById(id);
  const cases = document.querySelector(".cases");
  const browser = cases ? browse(cases) : null;
  const box = document.querySelector(".confusion[data-tried]");
  if (box) tryThresholds(box);

  // The case browser: a list of exams that is filtered, sorted and turned. Returns a function that re-calls its exams.
  function browse(cases) {
    const list = cases.querySelector(".exams");
    const rows = [...list.children];
    const linkOf = (row) => row.querySelector("a");
    const articleOf = (row) => byId(linkOf(row).hash.slice(1));
    let current = rows.find((row) => linkOf(row).hash === location.hash) ?? rows[0];

    // Filter of the list: a word about the call, or label-0, label-1 ... for the truth.
    const verdict = (row) => {
      const { label, called } = row.dataset;
      if (label === called) return ["right"];
      return ["wrong", called === "1" ? "alarm" : "missed"];
    };
    const isWanted = (row, only) => !only || only === `label-${row.dataset.label}` || verdict(row).includes(only);
    const shown = () => [...list.children].filter((row) => !row.hidden);

    const show = (row, { focus = false } = {}) => {
      current = row;
      for (const each of rows) {
        const chosen = each === row;
        articleOf(each).hidden = !chosen;
        linkOf(each).tabIndex = chosen ? 0 : -1;
        if (chosen) linkOf(each).setAttribute("aria-current", "true");
        else linkOf(each).removeAttribute("aria-current");
      }
      if (!row) return;
      list.scrollTop += row.getBoundingClientRect().top - list.getBoundingClientRect().top - list.clientHeight / 2;
      if (focus) linkOf(row).focus({ preventScroll: true });
    };

    const arrange = () => {
      const only = byId("show-only").value;
      const by = byId("sort-by").value;
      const sign = by.startsWith("-") ? -1 : 1;
      const key = by.replace("-", "");
      // without a value (no gaze) comes last, whatever the direction; equal values keep the order of the data
      const value = (row) => (row.dataset[key] === "" ? Infinity : sign * Number(row.dataset[key]));
      const sorted = [...rows].sort((a, b) => value(a) - value(b) || a.dataset.number - b.dataset.number);
      for (const row of sorted) row.hidden = !isWanted(row, only);
      list.append(...sorted);
      const left = shown();
      byId("count").textContent = left.length;
      cases.querySelector(".none").hidden = left.length > 0;
      show(left.includes(current) ? current : left[0]);
    };

    const turn = (step, options) => {
      const left = shown();
      const place = left.indexOf(current) + step;
      if (left[place]) show(left[place], options);
    };

    const cycleAttention = () => {
      const choices = [...cases.querySelectorAll("input[name=attention]")];
      if (choices.length) choices[(choices.findIndex((each) => each.checked) + 1) % choices.length].checked = true;
    };

    const pressed = (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const inList = list.contains(event.target);
      const taken = event.target.matches("input[type=range], input[type=radio], select");
      const ends = { Home: () => shown()[0], End: () => shown().at(-1) };
      const steps = inList
        ? { ArrowUp: -1, ArrowLeft: -1, ArrowDown: 1, ArrowRight: 1 }
        : { ArrowLeft: -1, ArrowRight: 1 };
      const toggle = { g: "show-gaze", f: "show-scanpath", l: "show-lesion" }[event.key.toLowerCase()];
      if (inList && ends[event.key]) show(ends[event.key](), { focus: true });
      else if (!taken && event.key in steps) turn(steps[event.key], { focus: inList });
      else if (event.target.matches("select")) return;
      else if (toggle && byId(toggle)) byId(toggle).click();
      else if (event.key.toLowerCase() === "a") cycleAttention();
      else return;
      event.preventDefault();
    };

    list.addEventListener("click", (event) => {
      const link = event.target.closest("a");
      if (!link) return;
      event.preventDefault();
      show(link.parentElement, { focus: true });
    });
    cases.addEventListener("keydown", pressed);
    byId("previous").addEventListener("click", () => turn(-1));
    byId("next").addEventListener("click", () => turn(1));
    byId("show-only").addEventListener("change", arrange);
    byId("sort-by").addEventListener("change", arrange);
    byId("opacity").addEventListener("input", ({ target }) => {
      cases.style.setProperty("--opacity", target.value / 100);
      byId("opacity-value").textContent = `${target.value} %`;
    });

    const recall = (threshold) => {
      for (const row of rows) {
        row.dataset.called = Number(row.dataset.positive) > threshold ? 1 : 0;
        const right = row.dataset.called === row.dataset.label;
        const mark = row.querySelector(".verdict");
        mark.className = `verdict ${right ? "right" : "wrong"}`;
        mark.firstChild.data = right ? "✓" : "✗";
        mark.lastElementChild.textContent = right ? " right" : " wrong";
      }
      arrange();
    };
    arrange();
    return { recall };
  }

  // Counts and rates, with their intervals, are computed for the threshold nearest to the slider.
  function tryThresholds(box) {
    const slider = byId("threshold");
    const tried = JSON.parse(box.dataset.tried);
    const own = Number(box.dataset.threshold);
    const distance = (each) => Math.abs(each.threshold - Number(slider.value));
    slider.addEventListener("input", () => {
      const found = tried.reduce((best, each) => (distance(each) < distance(best) ? each : best));
      for (const cell of box.querySelectorAll("[data-cell]")) {
        const [truth, called] = cell.dataset.cell.split("-");
        cell.textContent = found.counts[truth][called];
      }
      for (const line of box.querySelectorAll("[data-rate]")) {
        const words = found.rates[line.dataset.rate];
        line.querySelector(".value").textContent = words.value;
        line.querySelector(".range").textContent = words.interval;
        line.querySelector(".remark").textContent = words.remark;
      }
      const moved = found.threshold !== own;
      box.querySelector(".threshold").textContent = found.threshold.toFixed(2);
      box.querySelector(".origin").hidden = moved;
      box.querySelector(".moved").hidden = !moved;
      browser?.recall(found.threshold);
    });
  }
})();
