"use strict";
(() => {
  const data = JSON.parse(document.getElementById("frontier").textContent);
  const last = data.threshold.length - 1;
  const at = (id) => document.getElementById(id);
  const state = { sql: data.sql, mql: data.mql, asked: null };

  // Figures: the same arithmetic, in the same order, as propensity.reporting.explorer.
  const volume = (line) => data.scale * data.leads[line];
  const bandOf = (line, sql, mql) => (line >= sql ? 1 : 0) + (line >= mql ? 1 : 0);
  function bring(sql, mql) {
    const n = data.leads[mql] - data.leads[sql], won = data.converted[mql] - data.converted[sql];
    let moved = 0;
    for (let line = 0; line <= last; line++) {
      const inside = data.leads[line] - (line < last ? data.leads[line + 1] : 0);
      if (bandOf(line, sql, mql) !== bandOf(line, data.sql, data.mql)) moved += inside;
    }
    return {
      sql: { volume: volume(sql), won: data.scale * data.converted[sql], precision: data.precision[sql] },
      mql: { volume: data.scale * n, won: data.scale * won, precision: n ? won / n : 0 },
      nurture: { volume: data.scale * (data.n_all - data.leads[mql]) },
      moved: data.scale * moved,
    };
  }

  const fixed = (number, digits) => {
    const [whole, part] = Math.abs(number).toFixed(digits).split(".");
    const sign = number < 0 && Number(number.toFixed(digits)) !== 0 ? "-" : "";
    return sign + whole.replace(/\B(?=(\d{3})+$)/g, ",") + (part ? "." + part : "");
  };
  const percent = (share) => fixed(100 * share, 1) + "%";
  const change = (now, then) => {
    const text = fixed(now - then, 1);
    return Number(text.replace(/,/g, "")) === 0 ? "as today" : (now > then ? "+" : "") + text;
  };
  const asked = (id) => {
    const number = at(id).valueAsNumber;
    return Number.isFinite(number) && number > 0 && (id !== "precision" || number <= 100) ? number : null;
  };
  const wrong = () => ["capacity", "precision", "value", "cost"].filter((id) => asked(id) === null && (at(id).value !== "" || at(id).validity.badInput));
  const neverPays = () => asked("value") !== null && asked("cost") !== null && asked("cost") > asked("value");

  function why(line) {
    const reasons = [];
    const precision = asked("precision"), capacity = asked("capacity");
    const wanted = precision === null ? data.agreed_precision : precision / 100;
    if (data.low[line] < wanted) reasons.push("a conversion of " + percent(wanted) + " cannot be promised, surely only " + percent(data.low[line]));
    if (capacity !== null && volume(line) > capacity) reasons.push("sales would get " + fixed(volume(line), 1) + " leads " + data.per + " and can work " + fixed(capacity, 1));
    return reasons;
  }

  function toml() {
    const isToday = state.sql === data.sql && state.mql === data.mql && state.asked === null;
    if (isToday) return ["[agreement]", ...data.terms].join("\n");
    const lines = ["[agreement]"], kept = data.terms.filter((line) => !line.startsWith("mql_recall"));
    const promised = Math.max(0.01, Math.floor(100 * data.low[state.sql]) / 100);
    const value = asked("value"), cost = asked("cost");
    if (state.asked === "precision") lines.push('policy = "promise"', "sql_precision = " + (asked("precision") / 100).toFixed(4).replace(/0+$/, "").replace(/\.$/, ".0"));
    else if (state.asked === "profit") lines.push('policy = "profit"');
    else if (state.sql === data.sql) lines.push(...kept);
    else if (!data.is_weekly) lines.push('policy = "promise"', "sql_precision = " + promised.toFixed(2));
    else lines.push('policy = "capacity"', "capacity_per_week = " + (state.asked === "capacity" ? asked("capacity") : Math.max(volume(state.sql), 0.1).toFixed(1)));
    if (value !== null && cost !== null && !neverPays() && !lines.some((line) => line.startsWith("cost"))) lines.push("value_per_win = " + value, "cost_per_contact = " + cost);
    const recall = state.mql === data.mql ? data.agreed_recall : Math.floor(100 * data.recall_low[state.mql]) / 100;
    if (recall > 0 && recall < 1) lines.push("mql_recall = " + recall.toFixed(2));
    return lines.join("\n");
  }

  // What was typed last is what counts; what else stands in a box does not, and is said.
  function goal() {
    const words = {
      capacity: () => "as many leads as sales can work: " + fixed(asked("capacity"), 1) + " " + data.per + (asked("capacity") > volume(0) ? ", more than the " + fixed(volume(0), 1) + " that come in, so call all" : ""),
      precision: () => "at least " + percent(asked("precision") / 100) + " of SQLs buy",
      profit: () => "the largest profit, wins less what contacts cost",
    };
    const names = { capacity: "what sales can work", precision: "what SQLs must convert at", profit: "value and cost", value: "what a win brings", cost: "what a contact costs" };
    if (wrong().length) return "Not understood: " + wrong().map((id) => names[id] + " (a number above 0" + (id === "precision" ? ", at most 100" : "") + ")").join(", ") + ".";
    if (neverPays()) return "A contact that costs more than a win brings never pays: no threshold is set by that.";
    if (state.asked === null && state.sql === data.sql) return asked("precision") === null ? "" : "No threshold promises " + percent(asked("precision") / 100) + ": nothing is set by that.";
    const others = { capacity: asked("capacity"), precision: asked("precision"), profit: asked("value") !== null && asked("cost") !== null ? 1 : null };
    const ignored = Object.keys(others).filter((name) => name !== state.asked && others[name] !== null);
    return "Set by " + (state.asked === null ? "hand" : words[state.asked]()) + "." + (ignored.length ? " Not applied: " + ignored.map((name) => names[name]).join(", ") + "." : "");
  }

  function show() {
    const { sql, mql } = state, now = bring(sql, mql), then = bring(data.sql, data.mql);
    at("sql").value = sql;
    at("mql").value = mql;
    const from = (line) => percent(data.threshold[line]) + " and more";
    at("sql").setAttribute("aria-valuetext", from(sql) + ": " + fixed(now.sql.volume, 1) + " leads " + data.per);
    at("mql").setAttribute("aria-valuetext", from(mql) + ": " + fixed(now.mql.volume, 1) + " leads " + data.per);
    at("sql-from").textContent = from(sql);
    at("mql-from").textContent = from(mql);
    for (const band of ["sql", "mql", "nurture"]) {
      at(band + "-volume").textContent = fixed(now[band].volume, 1);
      at(band + "-change").textContent = change(now[band].volume, then[band].volume);
    }
    at("sql-precision").textContent = percent(now.sql.precision) + " (" + percent(data.low[sql]) + " to " + percent(data.high[sql]) + ")";
    at("mql-precision").textContent = percent(now.mql.precision);
    at("sql-won").textContent = fixed(now.sql.won, 1);
    at("mql-won").textContent = fixed(now.mql.won, 1);
    at("found").textContent = "SQL and MQL together hold " + percent(data.recall[mql]) + " of all conversions (" + percent(data.recall_low[mql]) + " to " + percent(data.recall_high[mql]) + ").";
    at("moves").textContent = Number(now.moved.toFixed(1)) === 0 ? "These are the bands of today: no lead moves." : fixed(now.moved, 1) + " leads " + data.per + " would be in another band than today.";
    const value = asked("value"), cost = asked("cost");
    at("profit").textContent = value === null || cost === null ? "Type what a win brings and what a contact costs to see the profit of calling all SQLs." : "Calling all SQLs brings " + fixed(data.scale * (value * data.converted[sql] - cost * data.leads[sql]), 0) + " " + data.per + ", what the calls cost taken off.";
    at("goal").textContent = goal();
    const reasons = why(sql);
    at("feasible").textContent = reasons.length ? "But here " + reasons.join("; ") + "." : "These leads speak for the promise here. Training looks at fewer thresholds and more strictly: what it says counts.";
    at("feasible").className = reasons.length ? "uncertified" : "certified";
    at("toml").textContent = toml();
    at("copied").textContent = "";
    draw();
  }

  function move(name, line, by) {
    const to = Math.max(0, Math.min(last, line));
    state[name] = to;
    if (name === "sql" && by) state.mql = data.mql; // what is typed is asked anew, not on top of what was tried before
    if (name === "sql" && state.mql > to) state.mql = to;
    if (name === "mql" && state.sql < to) state.sql = to;
    if (name === "sql") state.asked = by || null;
    show();
  }

  // A box that is emptied, or holds what nobody can agree on, asks for nothing.
  function today() {
    state.mql = data.mql;
    move("sql", data.sql);
  }

  // The chart: drawn anew on each move, at most once a frame.
  const width = 640, height = 320, left = 52, right = 12, top = 12, bottom = 40;
  const most = Math.max(...data.leads.map((_, line) => volume(line)), 1e-9);
  const x = (amount) => left + (width - left - right) * (amount / most);
  const y = (share) => top + (height - top - bottom) * (1 - share);
  const element = (tag, given, text) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, is] of Object.entries(given)) made.setAttribute(name, is);
    if (text !== undefined) made.textContent = text;
    return made;
  };
  const chart = element("svg", { class: "figure", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": "Conversion rate against leads called, with the two thresholds" });
  at("chart").append(chart);
  const moving = element("g", {}), grey = element("g", {});
  function ticks(end, wanted) {
    const rough = end / wanted, power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((one) => one * power).find((one) => one >= rough);
    const found = [];
    for (let i = 0; i * step <= end * 1.0001; i++) found.push(i * step);
    return found;
  }
  chart.append(grey);
  for (const share of [0, 0.25, 0.5, 0.75, 1]) {
    chart.append(element("line", { x1: left, x2: width - right, y1: y(share), y2: y(share), stroke: "var(--line)" }));
    chart.append(element("text", { x: left - 6, y: y(share) + 4, "text-anchor": "end", "font-size": 12 }, 100 * share + "%"));
  }
  for (const amount of ticks(most, 6)) chart.append(element("text", { x: x(amount), y: height - bottom + 18, "text-anchor": x(amount) > width - 30 ? "end" : "middle", "font-size": 12 }, String(Number(amount.toPrecision(6)))));
  chart.append(element("text", { x: (left + width) / 2, y: height - 4, "text-anchor": "middle", "font-size": 12 }, "leads " + data.per + " above the threshold"));
  const lines = data.leads.map((_, line) => line).filter((line) => data.leads[line] > 0);
  const path = (values) => lines.map((line, i) => (i ? "L" : "M") + x(volume(line)).toFixed(1) + " " + y(values[line]).toFixed(1)).join(" ");
  const back = [...lines].reverse().map((line) => "L" + x(volume(line)).toFixed(1) + " " + y(data.low[line]).toFixed(1)).join(" ");
  chart.append(element("path", { d: path(data.high) + " " + back + " Z", fill: "var(--band)", opacity: 0.7 }));
  chart.append(element("path", { d: path(data.recall), fill: "none", stroke: "var(--soft)", "stroke-dasharray": "5 4" }));
  chart.append(element("path", { d: path(data.precision), fill: "none", stroke: "var(--model)", "stroke-width": 2 }));
  const near = (part) => lines.reduce((best, line) => (Math.abs(volume(line) - part * most) < Math.abs(volume(best) - part * most) ? line : best), lines[0]);
  const write = (line, share, away, text) => chart.append(element("text", { x: x(volume(line)), y: y(share) + away, "text-anchor": "middle", "font-size": 12, "paint-order": "stroke", stroke: "var(--paper)", "stroke-width": 4 }, text));
  write(near(0.7), data.recall[near(0.7)], 24, "so many of all conversions are found");
  write(near(0.3), data.high[near(0.3)], -8, "so many of them convert");
  chart.append(moving);
  const handles = {};
  for (const name of ["sql", "mql"]) {
    const rule = element("line", { stroke: "var(--other)", "stroke-dasharray": "2 3" });
    const dot = element("circle", { r: 9, fill: "var(--other)", style: "cursor: grab; touch-action: none" });
    const label = element("text", { "font-size": 13, "font-weight": "bold", "text-anchor": "middle", "pointer-events": "none", "paint-order": "stroke", stroke: "var(--paper)", "stroke-width": 4 }, name.toUpperCase());
    moving.append(rule, dot, label);
    handles[name] = { rule, dot, label };
    dot.addEventListener("pointerdown", (event) => {
      dot.setPointerCapture(event.pointerId);
      event.preventDefault();
    });
    dot.addEventListener("pointermove", (event) => {
      if (!dot.hasPointerCapture(event.pointerId)) return;
      const box = chart.getBoundingClientRect();
      const amount = (((event.clientX - box.left) / box.width) * width - left) / (width - left - right) * most;
      let best = 0;
      for (const line of lines) if (Math.abs(volume(line) - amount) < Math.abs(volume(best) - amount)) best = line;
      move(name, best);
    });
  }
  let waiting = false;
  function draw() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      for (const name of ["sql", "mql"]) {
        const { rule, dot, label } = handles[name], place = x(volume(state[name])), tall = y(data.precision[state[name]]);
        rule.setAttribute("x1", place);
        rule.setAttribute("x2", place);
        rule.setAttribute("y1", y(0));
        rule.setAttribute("y2", y(1));
        dot.setAttribute("cx", place);
        dot.setAttribute("cy", tall);
        label.setAttribute("x", Math.min(Math.max(place, left + 18), width - right - 18));
        const isUnder = tall < top + 26 || (name === "mql" && state.mql === state.sql);
        label.setAttribute("y", isUnder ? tall + 24 : tall - 14);
      }
      grey.replaceChildren();
      for (let i = 0; i < lines.length; i++) {
        if (!why(lines[i]).length) continue;
        const from = i + 1 < lines.length ? x(volume(lines[i + 1])) : left, to = x(volume(lines[i]));
        grey.append(element("rect", { x: from, y: y(1), width: Math.max(to - from, 0), height: y(0) - y(1), fill: "var(--band)", opacity: 0.35 }));
      }
    });
  }

  at("sql").addEventListener("input", () => move("sql", at("sql").valueAsNumber));
  at("mql").addEventListener("input", () => move("mql", at("mql").valueAsNumber));
  at("capacity").addEventListener("input", () => {
    const capacity = asked("capacity");
    if (capacity === null) return today();
    const found = data.leads.findIndex((_, line) => volume(line) <= capacity);
    move("sql", found < 0 ? last : found, "capacity");
  });
  at("precision").addEventListener("input", () => {
    const precision = asked("precision");
    if (precision === null) return today();
    const found = data.low.findIndex((low) => low >= precision / 100);
    if (found < 0) return today();
    move("sql", found, "precision");
  });
  const priced = () => {
    const value = asked("value"), cost = asked("cost");
    if (value === null || cost === null || neverPays()) return today();
    let best = 0;
    const profit = (line) => value * data.converted[line] - cost * data.leads[line];
    for (let line = 1; line <= last; line++) if (profit(line) > profit(best)) best = line;
    move("sql", best, "profit");
  };
  at("value").addEventListener("input", priced);
  at("cost").addEventListener("input", priced);
  at("copy").addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(toml());
      at("copied").textContent = "Copied.";
    } catch {
      const range = document.createRange();
      range.selectNodeContents(at("toml"));
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      at("copied").textContent = "Selected: copy with Ctrl+C.";
    }
  });
  for (const name of ["capacity", "value", "cost"]) if (data[name] !== null) at(name).value = data[name];
  show();
})();
