// The status page of a member. It asks for one document of figures again and again and shows it; it changes nothing, and
// it keeps nothing but the token of whoever has logged in, in this variable.
"use strict";

let token = "";
const INTERVAL = 2000;
const id = (name) => document.getElementById(name);

/** An element with a text and attributes. Everything that comes from the member gets into the page through here. */
function element(tag, text, attributes) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  for (const [name, value] of Object.entries(attributes || {})) made.setAttribute(name, value);
  return made;
}

function number(value) {
  return Number(value).toLocaleString("en", { maximumFractionDigits: 1 });
}

function bytes(value) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  let left = value;
  while (left >= 1024 && unit < units.length - 1) { left /= 1024; unit += 1; }
  return `${number(left)} ${units[unit]}`;
}

function seconds(value) {
  if (value >= 1) return `${number(value)} s`;
  if (value >= 0.001) return `${number(value * 1000)} ms`;
  return `${number(value * 1000000)} µs`;
}

function definitions(list, pairs) {
  list.replaceChildren(...pairs.map(([name, value, kind]) => {
    const box = element("div");
    box.append(element("dt", name), element("dd", value, kind ? { class: kind } : {}));
    return box;
  }));
}

function showNotices(data) {
  id("notices").replaceChildren(...data.notices.map((notice) => {
    const box = element("p", undefined, { class: notice.critical ? "notice bad" : "notice" });
    box.append(element("strong", notice.what), notice.todo);
    return box;
  }));
}

function showFacts(data) {
  const leader = data.members.find((member) => member.id === data.leader);
  definitions(id("facts"), [
    ["Role", data.role],
    ["Leader", leader ? leader.name || leader.id : "none", leader ? "" : "bad"],
    ["Voters that are reached", `${data.reachable} of ${data.voters}`, data.reachable * 2 > data.voters ? "" : "bad"],
    ["Term", number(data.term)],
    ["Revision", number(data.revision)],
    ["Compacted up to", data.compacted < 0 ? "never" : number(data.compacted)],
    ["Entries to apply here", number(data.committed - data.applied)],
    ["Leases", number(data.leases)],
    ["Watchers", number(data.watchers)],
    ["Watchers behind", number(data.watchers_behind), data.watchers_behind ? "warn" : ""],
    ["Watch streams", number(data.watch_streams)],
    ["Running for", duration(data.uptime)],
  ]);
}

function duration(all) {
  const parts = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const first = parts.findIndex(([unit]) => all >= unit);
  if (first < 0) return "0 s";
  const shown = parts.slice(first, first + 2).map(([unit, name], at) =>
    [Math.floor(at ? (all % parts[first][0]) / unit : all / unit), name]);
  return shown.filter(([count], at) => count > 0 || at === 0).map((part) => part.join(" ")).join(" ");
}

function showMembers(data) {
  const labels = [...document.querySelectorAll("thead th")].map((head) => head.textContent);
  const members = [...data.members].sort((a, b) => a.name.localeCompare(b.name));
  id("members").replaceChildren(...members.map((member) => {
    const row = element("tr");
    const behind = member.behind === null ? "–" : member.behind === 0 ? "no" : `${number(member.behind)} entries`;
    const cells = [
      [member.name || "(not started)", member.id],
      [member.role],
      [member.state, member.problem, member.well ? "good" : "bad"],
      [behind, "", member.behind > 1000 ? "warn" : ""],
      [member.round_trip === null ? "–" : seconds(member.round_trip)],
      [member.version || "–"],
      [member.peer_urls.join(" "), member.address || ""],
      [member.client_urls.join(" ") || "–"],
    ];
    cells.forEach(([text, small, kind], at) => {
      const cell = element("td", undefined, { "data-label": labels[at] });
      if ([2, 6, 7].includes(at)) cell.className = "long";
      const inner = element("span", text, kind ? { class: kind } : {});
      if (small) inner.append(element("small", small));
      cell.append(inner);
      row.append(cell);
    });
    return row;
  }));
  id("lag-note").textContent = data.knows_lag ? "" :
    "Only the leader knows how far the others are behind: this member has not heard it now.";
}

const SVG = "http://www.w3.org/2000/svg";

function svgElement(tag, attributes) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

/** A small chart; `points` are pairs of seconds ago and value. */
function chart(title, format, points) {
  const last = points.length ? points[points.length - 1][1] : 0;
  const most = Math.max(...points.map((point) => point[1]), 0);
  const oldest = Math.max(...points.map((point) => point[0]), 60);
  const figure = element("figure");
  const caption = element("figcaption", title);
  caption.append(element("b", format(last)));
  const svg = svgElement("svg", {
    viewBox: "0 0 300 60", preserveAspectRatio: "none", role: "img",
    "aria-label": `${title}: now ${format(last)}, at most ${format(most)}`,
  });
  const place = ([ago, value]) =>
    `${(300 - (300 * ago) / oldest).toFixed(1)},${(58 - (most ? (54 * value) / most : 0)).toFixed(1)}`;
  svg.append(svgElement("line", { class: "base", x1: 0, y1: 59, x2: 300, y2: 59 }));
  if (points.length > 1) {
    const line = points.map(place).join(" ");
    const from = place([points[0][0], 0]);
    const to = place([points[points.length - 1][0], 0]);
    svg.append(svgElement("polygon", { class: "area", points: `${from} ${line} ${to}` }));
    svg.append(svgElement("polyline", { class: "line", points: line }));
  }
  const scale = element("p");
  scale.append(element("span", `${duration(Math.round(oldest))} ago`), element("span", `at most ${format(most)}`));
  figure.append(caption, svg, scale);
  return figure;
}

function showCharts(data) {
  const rate = (value) => `${number(value)}/s`;
  const kinds = [
    ["Writes", "writes", rate], ["Reads", "reads", rate], ["Events to watchers", "events", rate],
    ["Time of requests (99 %)", "request", seconds], ["Flush of the log (99 %)", "flush", seconds],
    ["Bytes from clients", "received", (value) => `${bytes(value)}/s`],
    ["Bytes to clients", "sent", (value) => `${bytes(value)}/s`],
    ["Entries committed", "committed", rate],
  ];
  id("charts").replaceChildren(...kinds.map(([title, key, format]) =>
    chart(title, format, data.history.map((sample) => [sample.ago, sample[key]]))));
}

function showStore(data) {
  const share = data.quota ? data.in_use / data.quota : 0;
  id("space").textContent = data.quota
    ? `${bytes(data.in_use)} in use of ${bytes(data.quota)} (${number(share * 100)} %)`
    : `${bytes(data.in_use)} in use; there is no quota`;
  id("meter").hidden = !data.quota;
  id("meter").value = Math.min(share, 1);
  definitions(id("store"), [
    ["File", bytes(data.allocated)], ["Keys", number(data.keys)],
    ["Memory of the process", bytes(data.memory)],
  ]);
}

function showCertificates(data) {
  id("certificates-section").hidden = data.certificates.length === 0;
  definitions(id("certificates"), data.certificates.map((certificate) => [
    certificate.file,
    certificate.days < 0 ? "expired" : `${number(certificate.days)} days left`,
    certificate.days < 14 ? "bad" : certificate.days < 30 ? "warn" : "",
  ]));
}

function say(text, bad) {
  const state = id("state");
  // Only changes are read out.
  if (state.textContent !== text) state.textContent = text;
  state.className = bad ? "bad" : "";
}

function show(data) {
  document.title = `${data.name} – kvd`;
  id("who").textContent = `${data.name} · version ${data.version} · cluster ${data.cluster}`;
  id("login").hidden = true;
  id("content").hidden = false;
  say(data.serving ? "The member serves." : "The member does not serve writes.", !data.serving);
  showNotices(data);
  showFacts(data);
  showMembers(data);
  showCharts(data);
  showStore(data);
  showCertificates(data);
}

function askForLogin() {
  token = "";
  id("content").hidden = true;
  say("Log in to see the status.", false);
  if (id("login").hidden) {
    id("login").hidden = false;
    id("user").focus();
  }
}

async function refresh() {
  try {
    const headers = token ? { authorization: token } : {};
    const answer = await fetch("/status/data", { headers, cache: "no-store", credentials: "omit" });
    if (answer.status === 401) return askForLogin();
    const data = await answer.json();
    if (!answer.ok) return say(`The member answers: ${data.error}`, true);
    show(data);
  } catch (error) {
    say("The member does not answer; what is shown is old.", true);
  }
}

async function logIn(event) {
  event.preventDefault();
  id("refused").textContent = "";
  const form = event.target;
  const body = JSON.stringify({ name: form.user.value, password: form.password.value });
  form.password.value = "";
  try {
    const answer = await fetch("/status/login", { method: "POST", body, cache: "no-store", credentials: "omit" });
    const data = await answer.json();
    if (!answer.ok) {
      id("refused").textContent = data.error;
      form.password.focus();
      return;
    }
    token = data.token;
    await refresh();
    id("main").focus();
  } catch (error) {
    id("refused").textContent = "The member does not answer.";
  }
}

async function run() {
  if (!document.hidden && id("login").hidden) await refresh();
  setTimeout(run, INTERVAL);
}

id("login").addEventListener("submit", logIn);
document.addEventListener("visibilitychange", () => { if (!document.hidden && id("login").hidden) refresh(); });
run();
