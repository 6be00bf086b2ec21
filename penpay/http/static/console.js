// The operators' page. It asks the node that served it and nobody else; whatever comes back is only ever text.
"use strict";

const EVERY_MS = 4000;
const PATIENCE_MS = 10000;
const KEPT_AS = "penpay.operators-token";
const ID = /^[0-9A-HJKMNP-TV-Z]{26}$/;
const REFERENCE = /^[A-Za-z0-9_-]{3,64}$/;
const EXITS = {
  credit: "Deliver: send the dollars",
  refund: "Refund: reverse the payment",
  return: "Return: give the dollars back",
  pay: "Pay: send the shillings",
  executed: "Proven: it was executed (evidence: the provider's id)",
  absent: "Proven: it never happened",
  settle: "Settled: all given back, by hand or by Deriv itself (evidence: the provider's id)",
  surplus: "Surplus settled: what was set aside was given back by hand (evidence: the provider's id)",
  own: "Ours: a top-up or withdrawal of the house",
  lost: "Lost: the dollars are gone",
  correct: "Correct: the books follow what the provider lists; if both agree by now, this only closes the question",
  approve: "Approve: the account is the customer's",
  close: "Close: nothing remains to be done",
};
const RAILS = { daraja: "M-Pesa", deriv: "Deriv" };
const FLOATS = { deriv_agent: "Agent", mpesa_paybill: "PayBill", mpesa_utility: "Payouts" };
const byId = (id) => document.getElementById(id);
let turn = 0;
let timer = 0;

// --- drawing: a tree of elements is made anew and laid over the old one, so that nothing flickers or loses focus -----

function el(name, more, ...inside) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(more || {})) {
    if (value !== null && value !== undefined && value !== false) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...inside.flat(9).filter((one) => one !== null && one !== undefined && one !== "").map((one) => one instanceof Node ? one : String(one)));
  return made;
}

// What a person opened, or is being told, is not ours to change.
const THEIRS = new Set(["open", "data-seen"]);

function lay(old, fresh) {
  if (old.nodeType !== fresh.nodeType || old.nodeName !== fresh.nodeName || (old.dataset && old.dataset.key !== fresh.dataset.key)) {
    old.replaceWith(fresh);
    return;
  }
  if (old.nodeType === Node.TEXT_NODE) {
    if (old.data !== fresh.data) old.data = fresh.data;
    return;
  }
  if (old.dataset.keep) return;
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name) && !THEIRS.has(name)) old.removeAttribute(name);
  for (const { name, value } of fresh.attributes) {
    if (old.getAttribute(name) !== value && (name !== "open" || !old.dataset.seen)) old.setAttribute(name, value);
  }
  const theirs = [...old.childNodes], ours = [...fresh.childNodes];
  ours.forEach((one, at) => (at < theirs.length ? lay(theirs[at], one) : old.append(one)));
  theirs.slice(ours.length).forEach((one) => one.remove());
}

function show(...inside) {
  const old = byId("main"), fresh = old.cloneNode(false);
  fresh.append(...inside.flat().filter(Boolean));
  lay(old, fresh);
  for (const one of old.querySelectorAll("details")) one.dataset.seen = "1";
}

// --- words ---------------------------------------------------------------------------------------------------------

function age(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 172800) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86400)} days`;
}

const clock = (text) => el("time", { datetime: text, title: text }, text.slice(0, 10), " ", text.slice(11, 19), " UTC");
const grouped = (text) => text.replace(/\B(?=(\d{3})+(?=\.))/g, " ");
const money = (wire) => `${grouped(wire.amount)} ${wire.currency}`;
const minor = (amount, currency) => `${amount < 0 ? "−" : "+"}${grouped((Math.abs(amount) / 100).toFixed(2))} ${currency}`;
const many = (count, one, more) => `${count} ${count === 1 ? one : more || one + "s"}`;
const pill = (text, tone) => el("span", { class: `pill ${tone || ""}` }, text);
const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1);
const word = (code) => sentence(String(code).toLowerCase().replaceAll("_", " "));
const link = (room, id) => el("a", { href: `#/${room}/${id}`, class: "mono" }, id);
const line = (left, right, tone) => el("li", {}, el("span", { class: tone }, left), right === undefined ? null : el("span", { class: tone }, right));

function table(heads, rows) {
  const numbers = heads.map((head) => head.startsWith("#"));
  const cells = (row) => row.map((cell, at) => el("td", { class: numbers[at] ? "n" : null }, cell));
  return el("div", { class: "scroll" }, el("table", {},
    el("thead", {}, el("tr", {}, heads.map((head, at) => el("th", { scope: "col", class: numbers[at] ? "n" : null }, head.replace("#", ""))))),
    el("tbody", {}, rows.map((row) => el("tr", {}, cells(row))))));
}

// --- asking --------------------------------------------------------------------------------------------------------

class Refused extends Error {
  constructor(status, body) {
    super(body.detail || body.title || `The node answered ${status}.`);
    this.status = status;
    this.body = body;
  }
}

async function ask(path, body) {
  const token = sessionStorage.getItem(KEPT_AS);
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  if (body) headers["Content-Type"] = "application/json";
  const answer = await fetch(path, {
    method: body ? "POST" : "GET", headers, body: body && JSON.stringify(body), cache: "no-store", credentials: "omit",
    redirect: "error", signal: AbortSignal.timeout(PATIENCE_MS),
  });
  const said = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Refused(answer.status, said);
  return said;
}

function askForToken() {
  const door = byId("door");
  if (door.open) return;
  byId("door-said").textContent = sessionStorage.getItem(KEPT_AS)
    ? "The node does not know this token."
    : "It stays in this tab until the tab is closed, and goes to this node only.";
  sessionStorage.removeItem(KEPT_AS);
  byId("token").value = "";
  door.showModal();
}

// --- on duty: the four questions -----------------------------------------------------------------------------------

function card(title, tone, said, lines) {
  return el("section", { class: `card ${tone}` }, el("h2", {}, title), el("p", { class: "said" }, said), el("ul", { class: "lines" }, lines));
}

const since = (seconds) => (seconds === null ? "not yet" : `${age(seconds)} ago`);
const UNKNOWN = "Nobody knows: the database is away";

function toDecide(seen) {
  if (!seen.reviews) return card("What needs a decision?", "bad", UNKNOWN, []);
  const open = seen.reviews.reduce((sum, desk) => sum + desk.open, 0);
  const overdue = seen.reviews.reduce((sum, desk) => sum + desk.overdue, 0);
  const tone = overdue ? "bad" : open ? "warn" : "good";
  const said = open ? many(open, "question") + (overdue ? `, ${overdue} overdue` : "") : "Nothing";
  const lines = seen.reviews.map((desk) => line(`${word(desk.owner_role)}: ${desk.open}`,
    desk.overdue ? `${desk.overdue} overdue` : `next due in ${age((Date.parse(desk.next_due_at) - Date.parse(seen.at)) / 1000)}`, desk.overdue ? "bad" : ""));
  return card("What needs a decision?", tone, said, [lines, open ? el("li", {}, el("a", { href: "#/reviews" }, "See the questions")) : null]);
}

function broken(seen, ill) {
  const away = Object.entries(seen.dependencies).filter(([, one]) => !one.ok);
  const rails = new Set(["daraja", "deriv", "fx"]);
  const lines = [
    ...away.filter(([name]) => !rails.has(name) && name !== "recovery").map(([name, one]) => line(sentence(name), one.detail || "not well", one.needed ? "bad" : "warn")),
    ...Object.entries(seen.gates).map(([shard, reason]) => line(`Shard ${shard} may not send`, reason, "bad")),
    ...(seen.invariants ? Object.entries(seen.invariants.broken).map(([name, rows]) => line(`Invariant ${name}`, many(rows, "row"), "bad")) : []),
    ...(seen.invariants ? seen.invariants.unanswered.map((name) => line(`Invariant ${name}`, "the database did not answer", "warn")) : []),
    ...ill.map((node) => line(node.path, node.state, "bad")),
  ];
  if (seen.outbox && seen.outbox.lag_s > 10) lines.push(line("Events are late", age(seen.outbox.lag_s), "warn"));
  const proof = seen.invariants
    ? line(`${many(seen.invariants.held, "invariant holds", "invariants hold")}`, `new rows asked ${since(seen.invariants.news_age_s)}, all ${since(seen.invariants.everything_age_s)}`, seen.invariants.news_age_s > 600 || seen.invariants.everything_age_s > 172800 ? "warn" : "")
    : line("Invariants", "not checked yet", "warn");
  const tone = seen.ready && !lines.some((one) => one.querySelector(".bad")) ? (lines.length ? "warn" : "good") : "bad";
  return card("What is broken?", tone, lines.length ? many(lines.length, "thing") : "Nothing", [...lines, proof]);
}

function gettingOld(seen) {
  if (!seen.transactions) return card("What is getting old?", "bad", UNKNOWN, []);
  const waiting = seen.transactions.filter((one) => one.stage !== "IN_REVIEW");
  const oldest = Math.max(0, ...waiting.map((one) => one.oldest_s));
  const count = waiting.reduce((sum, one) => sum + one.count, 0);
  const tone = oldest > 3600 ? "bad" : oldest > 900 ? "warn" : "good";
  const lines = [...seen.transactions].sort((a, b) => b.oldest_s - a.oldest_s).slice(0, 6)
    .map((one) => line(`${one.count} × ${word(one.type)}: ${word(one.stage).toLowerCase()}`, age(one.oldest_s)));
  return card("What is getting old?", tone, count ? `Oldest ${age(oldest)}, ${count} open` : "Nothing is waiting", lines);
}

function providers(seen) {
  const down = Object.entries(seen.rails).filter(([, rail]) => !rail.up);
  const lines = Object.entries(seen.rails).map(([name, rail]) => line(RAILS[name] || name, rail.up ? "up" : `down: ${rail.reason}`, rail.up ? "" : "bad"));
  const noRate = !seen.fx || seen.fx.problem;
  lines.push(line("Rate", seen.fx ? (seen.fx.problem || `${seen.fx.mid_rate}, ${age(seen.fx.age_s)} old`) : "none yet", noRate ? "bad" : ""));
  for (const [name, one] of Object.entries(seen.floats)) {
    const reserved = Number(one.reserved.amount) ? `, ${grouped(one.reserved.amount)} reserved` : "";
    lines.push(line(FLOATS[name] || word(name), `${money(one.balance)}${reserved}, ${age(one.age_s)} ago`, one.age_s > 900 ? "warn" : ""));
  }
  const unknown = Object.entries(seen.unknown_outcomes || {}).filter(([, count]) => count);
  for (const [name, count] of unknown) lines.push(line(`${RAILS[name] || name}: unknown outcomes`, count, "warn"));
  const ill = down.map(([name]) => RAILS[name] || name).concat(noRate ? ["the rate"] : []);
  const tone = ill.length ? "bad" : unknown.length ? "warn" : "good";
  return card("Which provider is unhealthy?", tone, ill.length ? sentence(ill.join(" and ")) : "None", lines);
}

function* members(node) {
  yield node;
  for (const child of node.children) yield* members(child);
}

const WELL = new Set(["running", "waiting", "done"]);

function drawDuty(seen, tree, page) {
  const ill = [...members(tree)].filter((node) => !WELL.has(node.state)).slice(0, 8);
  const questions = page ? page.items.slice(0, 6) : [];
  show(
    el("h1", { class: "skip" }, "On duty"),
    el("div", { class: "four" }, toDecide(seen), broken(seen, ill), gettingOld(seen), providers(seen)),
    el("div", { class: "below" },
      el("section", { class: "card" }, el("h2", {}, "Most urgent questions"),
        questions.length ? listed(questions) : el("p", { class: "quiet" }, page ? "None is open." : UNKNOWN)),
      el("section", { class: "card" }, el("h2", {}, "Oldest open transactions"),
        seen.oldest && seen.oldest.length
          ? table(["Transaction", "Stage", "#Amount", "#Age"], seen.oldest.slice(0, 10).map((one) => [
            link("transactions", one.id), `${word(one.type)}: ${word(one.stage).toLowerCase()}`, money(one.send), age(one.age_s)]))
          : el("p", { class: "quiet" }, seen.oldest ? "None is waiting." : UNKNOWN))),
    el("section", { class: "card" }, el("h2", {}, "Supervision"),
      el("ul", { class: "tree" }, tree.children.map((child) => branch(child, 1)))));
}

// --- questions -----------------------------------------------------------------------------------------------------

function sameMoney(item) {
  return item.same_money.length ? el("div", {}, pill("may be the same money as", "bad"), item.same_money.map((one) =>
    [" ", word(one.kind), " ", link("reviews", one.item), one.transaction ? [" of ", link("transactions", one.transaction)] : null])) : null;
}

function listed(items) {
  return table(["Question", "About", "Owner", "#Due"], items.map((one) => [
    [el("a", { href: `#/reviews/${one.id}` }, word(one.kind)), el("div", { class: "quiet" }, one.reason), sameMoney(one)],
    one.send ? [el("span", { class: "whole" }, money(one.send)), el("div", { class: "quiet" }, word(one.type))] : "–",
    word(one.owner_role),
    one.overdue ? pill("overdue", "bad") : age((Date.parse(one.due_at) - Date.now()) / 1000),
  ]));
}

function drawReviews(page, cursor) {
  show(
    el("h1", {}, "Open questions"),
    el("section", { class: "card" },
      page.items.length ? listed(page.items) : el("p", { class: "quiet" }, "None is open."),
      el("p", {}, cursor ? [el("a", { href: "#/reviews" }, "First page"), " "] : null,
        page.next_cursor ? el("a", { href: `#/reviews?after=${page.next_cursor}` }, "Next page") : null)));
}

function effect(exit) {
  const lines = [
    exit.stages.length ? el("li", {}, exit.stages.filter((stage, at) => stage !== exit.stages[at - 1]).map(word).join(" → ")) : null,
    ...exit.postings.map((leg) => el("li", {}, `books ${word(leg.account).toLowerCase()} `, el("span", { class: "mono" }, minor(leg.amount_minor, leg.currency)))),
    ...exit.operations.map((one) => el("li", {}, el("strong", {}, `sends ${money(one.amount)} to ${one.recipient || "the payer"} (${word(one.kind).toLowerCase()})`))),
    exit.postings.length || exit.operations.length ? null : el("li", { class: "quiet" }, "books nothing and sends nothing"),
  ];
  return el("ul", { class: "effect" }, lines);
}

function drawReview(item) {
  const possible = item.exits.filter((exit) => !exit.refusal), barred = item.exits.filter((exit) => exit.refusal);
  const facts = [
    ["Reason", item.reason], ["Owner", word(item.owner_role)],
    ["Opened", [clock(item.opened_at), ` (${age(item.age_s)} ago)`]],
    ["Due", [clock(item.due_at), " ", item.overdue ? pill("overdue", "bad") : null]],
    ["Transaction", item.transaction ? link("transactions", item.transaction) : "none"],
    ...(item.same_money.length ? [["Before you pay back", sameMoney(item)]] : []),
    ...(item.send ? [["Amount", `${money(item.send)} (${word(item.type).toLowerCase()}, ${word(item.stage).toLowerCase()})`]] : []),
  ];
  show(
    el("h1", {}, word(item.kind)),
    el("div", { class: "below" },
      el("section", { class: "card" }, el("h2", {}, "The question"),
        el("dl", {}, facts.map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]))),
      el("section", { class: "card" }, el("h2", {}, "Evidence"),
        Object.keys(item.evidence).length
          ? el("dl", {}, Object.entries(item.evidence).map(([name, value]) => [el("dt", {}, word(name)), el("dd", { class: "mono" }, value)]))
          : el("p", { class: "quiet" }, "None is attached; the transaction tells the rest."))),
    item.closed_at
      ? el("section", { class: "card" }, el("h2", {}, "Decided"), el("p", {}, clock(item.closed_at), ` ${item.resolution || ""}`))
      : el("form", { id: "decision", class: "card", method: "dialog", "data-item": item.id },
        el("fieldset", {}, el("legend", {}, "What is to be done"),
          possible.map((exit) => el("label", { class: "exit", "data-key": exit.action },
            el("input", { type: "radio", name: "action", value: exit.action, required: true }),
            el("div", {}, el("strong", {}, EXITS[exit.action] || exit.action), effect(exit)))),
          possible.length ? null : el("p", { class: "quiet" }, "Nothing can be decided now.")),
        el("div", { class: "names" },
          [["by", "Who decides", 80], ["second", "Who agrees (somebody else)", 80], ["evidence", "What it rests on (ticket, receipt, provider's id)", 160]].map(([name, text, size]) =>
            el("label", {}, text, el("input", { name, maxlength: size, required: true, autocomplete: "off" })))),
        el("div", { id: "said-back", "aria-live": "polite", "data-keep": "1" }),
        el("button", { "data-step": "look", disabled: !possible.length }, "Look at the effect"),
        item.kind === "name_mismatch" ? [" ", el("button", { type: "submit", formnovalidate: true, "data-step": "names" }, "Read both names")] : null),
    barred.length && !item.closed_at ? el("details", { class: "card" }, el("summary", {}, "Why not something else"),
      el("dl", {}, barred.map((exit) => [el("dt", {}, word(exit.action)), el("dd", {}, exit.refusal)]))) : null);
}

function sayBack(tone, ...inside) {
  byId("said-back").replaceChildren(el("div", { class: `said-back ${tone}` }, ...inside));
}

async function decide(form, step) {
  const told = Object.fromEntries(new FormData(form));
  const path = `/admin/v1/reviews/${form.dataset.item}`;
  const buttons = form.querySelectorAll("button");
  buttons.forEach((button) => { button.disabled = true; });
  try {
    if (step === "names") {
      const found = await ask(`${path}/names`, { by: told.by, second: told.second, evidence: told.evidence });
      sayBack("", `Registered: ${found.registered}. On Deriv: ${found.deriv}.`);
    } else if (step === "do") {
      const version = form.dataset.version ? { version: Number(form.dataset.version) } : {};
      const answer = await ask(`${path}/resolve`, { ...told, ...version });
      form.dataset.done = "1";
      sayBack("good", `Done. ${answer.note || ""}`);
      await refresh();
    } else {
      const seen = await ask(`${path}/preview`, told);
      form.dataset.version = seen.version ?? "";
      if (seen.refusal) sayBack("bad", seen.refusal);
      else sayBack("", el("strong", {}, `${sentence(seen.action)} by ${seen.approval}`), effect(seen), el("p", {}, "Nothing was done yet. "),
        el("button", { class: "do", "data-step": "do" }, "Do it"));
    }
  } catch (error) {
    if (error.status === 401) askForToken();
    const fields = (error.body && error.body.errors || []).map((one) => `${one.field} ${one.message}`).join("; ");
    sayBack("bad", fields || error.message);
  } finally {
    if (!form.dataset.done) buttons.forEach((button) => { button.disabled = false; });
  }
}

// --- one transaction -----------------------------------------------------------------------------------------------

function drawTransaction(story) {
  const one = story.transaction;
  const tone = { COMPLETED: "good", REVERSED: "good", FAILED: "", IN_REVIEW: "bad" }[one.status] ?? "warn";
  const told = (evidence) => Object.entries(evidence).map(([name, value]) => `${word(name).toLowerCase()} ${value}`).join(", ");
  show(
    el("h1", {}, `${word(one.type)} of ${money(one.send)} → ${money(one.receive)} `, pill(word(one.stage), tone)),
    el("p", { class: "outlook" }, story.outlook),
    el("section", { class: "card" }, el("dl", {}, [
      ["Transaction", one.id], ["Rate", `${one.quote.rate} (mid ${one.quote.mid_rate}, spread ${one.quote.spread})`],
      ["Phone", one.phone], ["Deriv account", one.deriv_loginid], ["Evidence", told(Object.fromEntries(Object.entries(one.evidence).filter(([, value]) => value))) || "none yet"],
      ["Failure", one.failure ? `${one.failure.code}: ${one.failure.message}` : "none"],
      ["Asked for", clock(one.created_at)], ["Changed", clock(one.updated_at)],
      ...(one.completed_at ? [["Completed", clock(one.completed_at)]] : []),
      ...(story.unconsumed_evidence ? [["Not read yet", many(story.unconsumed_evidence, "piece", "pieces") + " of stored evidence"]] : []),
    ].map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]))),
    story.reviews.length ? el("section", { class: "card" }, el("h2", {}, "Questions"),
      table(["Question", "Owner", "State"], story.reviews.map((item) => [
        [el("a", { href: `#/reviews/${item.id}` }, word(item.kind)), el("div", { class: "quiet" }, item.reason), sameMoney(item)], word(item.owner_role),
        item.closed_at ? ["closed ", clock(item.closed_at)] : [pill("open", "warn"), " due ", clock(item.due_at)]]))) : null,
    el("section", { class: "card" }, el("h2", {}, "Steps"),
      table(["When", "What happened", "Stage", "Evidence"], story.timeline.map((step) => [clock(step.at), step.event, word(step.stage), told(step.evidence)]))),
    el("div", { class: "below" },
      el("section", { class: "card" }, el("h2", {}, "Provider operations"),
        table(["Operation", "State", "#Attempts", "Proof or code"], story.operations.map((op) => [
          word(op.kind), pill(word(op.state), { CONFIRMED: "good", UNKNOWN: "bad" }[op.state] || ""), op.attempts, el("span", { class: "mono" }, op.provider_ref || op.code || "–")]))),
      el("section", { class: "card" }, el("h2", {}, "Postings (debit positive)"),
        table(["Posting", "Account", "#Amount"], story.postings.map((leg) => [leg.posting, el("span", { class: "mono" }, leg.account), minor(leg.amount_minor, leg.currency)])))));
}

// --- the tree ------------------------------------------------------------------------------------------------------

function branch(node, depth) {
  const tone = WELL.has(node.state) ? "good" : node.state === "parked" || node.state === "exited" ? "bad" : "warn";
  const head = el("span", { class: "branch" },
    el("strong", {}, node.path.split("/").pop()), el("span", { class: "quiet" }, node.kind), pill(node.state, tone),
    node.restarts ? pill(many(node.restarts, "restart"), "warn") : null,
    node.mailbox_depth ? pill(`${node.mailbox_depth} waiting, ${node.oldest_message_s} s`, node.oldest_message_s > 5 ? "bad" : "warn") : null,
    node.last_failure ? el("span", { class: "fails" }, node.last_failure) : null);
  if (!node.children.length) return el("li", { class: "leaf", "data-key": node.path }, head);
  const ill = [...members(node)].some((one) => !WELL.has(one.state) || one.restarts || one.mailbox_depth);
  return el("li", { "data-key": node.path }, el("details", { open: depth < 1 || ill },
    el("summary", {}, head, " ", el("span", { class: "quiet" }, `(${[...members(node)].length - 1})`)),
    el("ul", { class: "tree" }, node.children.map((child) => branch(child, depth + 1)))));
}

function drawTree(tree) {
  const all = [...members(tree)];
  show(
    el("h1", {}, "Supervision tree"),
    el("p", { class: "quiet" }, `${many(all.length, "member")}, ${many(all.reduce((sum, one) => sum + one.restarts, 0), "restart")}, `
      + `${many(all.reduce((sum, one) => sum + one.mailbox_depth, 0), "message")} waiting. To restart one: `, el("span", { class: "mono" }, "penpay restart PATH")),
    el("section", { class: "card" }, el("ul", { class: "tree" }, branch(tree, -1))));
}

// --- the round: where we are, what that needs, draw it -------------------------------------------------------------

function place() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  const [room, id] = path.split("/");
  return { room: room || "", id: (id || "").toUpperCase(), after: new URLSearchParams(query || "").get("after") || "" };
}

async function draw(where) {
  if (where.room === "tree") return [drawTree, await ask("/ops/tree")];
  if (where.room === "transactions" && ID.test(where.id)) return [drawTransaction, await ask(`/admin/v1/transactions/${where.id}`)];
  if (where.room === "reviews" && ID.test(where.id)) return [drawReview, await ask(`/admin/v1/reviews/${where.id}`)];
  if (where.room === "reviews") {
    const after = ID.test(where.after) ? where.after : "";
    return [drawReviews, await ask(`/admin/v1/reviews?limit=50${after && `&cursor=${after}`}`), after];
  }
  if (where.room === "unknown") return [drawUnknown, "Nothing of ours has this id or receipt."];
  if (where.room === "nobody") return [drawUnknown, "This is money of nobody: it waits among the questions."];
  return null;
}

function drawUnknown(said) {
  show(el("h1", {}, said), el("p", {}, el("a", { href: "#/reviews" }, "See the questions")));
}

async function refresh() {
  clearTimeout(timer);
  const mine = ++turn, where = place();
  try {
    const [seen, room] = await Promise.all([ask("/admin/v1/overview"), draw(where)]);
    const drawn = room || [drawDuty, seen, await ask("/ops/tree"), seen.reviews && await ask("/admin/v1/reviews?limit=6")];
    if (mine !== turn) return;
    drawn[0](...drawn.slice(1));
    head(seen, where);
    trouble("");
  } catch (error) {
    if (mine !== turn) return;
    if (error.status === 401) askForToken();
    else if (error.status === 404) drawUnknown("Nothing of ours has this id or receipt.");
    else trouble(error instanceof Refused ? error.message : "The node does not answer. What you see is old.");
  } finally {
    if (mine === turn && !byId("door").open) timer = setTimeout(() => (document.hidden ? null : refresh()), EVERY_MS);
  }
}

function head(seen, where) {
  byId("node").textContent = seen.node;
  const ready = byId("ready");
  ready.textContent = seen.ready ? "ready" : "not ready";
  ready.className = `pill ${seen.ready ? "good" : "bad"}`;
  byId("asked").textContent = `As of ${seen.at.slice(11, 19)} UTC, again every ${EVERY_MS / 1000} s.`;
  byId("forget").hidden = !sessionStorage.getItem(KEPT_AS);
  const open = (seen.reviews || []).reduce((sum, desk) => sum + desk.open, 0);
  document.title = `${open ? `(${open}) ` : ""}PenPay console`;
  for (const one of document.querySelectorAll("nav a")) {
    if (one.getAttribute("href") === `#/${where.room}`) one.setAttribute("aria-current", "page");
    else one.removeAttribute("aria-current");
  }
}

function trouble(text) {
  const said = byId("trouble");
  if (said.textContent !== text) said.textContent = text;
  said.hidden = !text;
  document.body.classList.toggle("stale", Boolean(text));
}

byId("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem(KEPT_AS, byId("token").value.trim());
  byId("token").value = "";
  byId("door").close();
  refresh();
});
byId("forget").addEventListener("click", () => {
  sessionStorage.removeItem(KEPT_AS);
  location.reload();
});
byId("find").addEventListener("submit", async (event) => {
  event.preventDefault();
  const typed = byId("id").value.trim();
  if (!REFERENCE.test(typed)) return byId("id").focus();
  location.hash = ID.test(typed.toUpperCase()) ? await roomOf(typed.toUpperCase()) : await ownerOf(typed);
});

// A question's id looks like a transaction's: whichever of the two exists is opened.
const roomOf = (id) => ask(`/admin/v1/reviews/${id}`).then(() => `#/reviews/${id}`, () => `#/transactions/${id}`);
const ownerOf = (ref) => ask(`/admin/v1/references/${ref}`)
  .then((found) => found.items.find((one) => one.transaction))
  .then((one) => (one ? `#/transactions/${one.transaction}` : `#/nobody/${ref}`), () => `#/unknown/${ref}`);
document.addEventListener("submit", (event) => {
  if (event.target.id !== "decision") return;
  event.preventDefault();
  decide(event.target, event.submitter ? event.submitter.dataset.step : "look");
});
document.addEventListener("change", (event) => {
  // Another answer, another name: what was looked at before is not what would be done.
  if (event.target.closest("#decision")) byId("said-back").replaceChildren();
});
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && !event.target.closest("input")) {
    event.preventDefault();
    byId("id").focus();
  }
});
document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
addEventListener("hashchange", () => {
  byId("main").replaceChildren(el("p", { class: "quiet" }, "Asking the node…"));
  byId("main").focus();
  scrollTo(0, 0);
  refresh();
});
refresh();
