// Renders the description. Text goes into the page as text only, never as HTML.
"use strict";

const main = document.getElementById("top");
const index = document.getElementById("index");
const search = document.getElementById("search");
let api;

fetch("/api/v1/openapi.json")
  .then((answer) => (answer.ok ? answer.json() : Promise.reject(new Error("status " + answer.status))))
  .then(show)
  .catch((error) => { document.getElementById("state").textContent = "The description could not be read: " + error.message; });

// An element with attributes and children; strings become text.
function el(name, attributes, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) element.setAttribute(key, value);
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

// `code` and **strong** of descriptions.
function prose(text) {
  return (text || "").split(/(`[^`]+`|\*\*[^*]+\*\*)/).map((part) => {
    if (part.startsWith("`")) return el("code", {}, part.slice(1, -1));
    return part.startsWith("**") ? el("strong", {}, part.slice(2, -2)) : part;
  });
}

function paragraphs(text) {
  return (text || "").split("\n\n").filter(Boolean).map((part) => el("p", {}, prose(part)));
}

function resolve(object) {
  return object && object.$ref ? object.$ref.slice(2).split("/").reduce((at, part) => at[part], api) : object || {};
}

function nameOf(object) {
  return object && object.$ref ? object.$ref.split("/").pop() : "";
}

function show(description) {
  api = description;
  document.getElementById("state").remove();
  main.append(el("h1", {}, api.info.title + " " + api.info.version), el("p", { class: "soft" }, api.info.summary));
  main.append(...paragraphs(api.info.description), securitySchemes());
  for (const tag of api.tags) section(tag);
  schemas();
  problems();
  openTarget();
  addEventListener("hashchange", openTarget);
  search.addEventListener("input", filter);
  addEventListener("keydown", (event) => {
    if (event.key === "/" && document.activeElement !== search) { event.preventDefault(); search.focus(); }
    if (event.key === "Escape" && document.activeElement === search) { search.value = ""; filter(); }
  });
}

function securitySchemes() {
  const rows = Object.entries(api.components.securitySchemes).map(([name, scheme]) =>
    el("tr", {}, el("td", {}, el("code", {}, name)), el("td", {}, prose(scheme.description))));
  return el("table", {}, el("tbody", {}, rows));
}

function section(tag) {
  const part = el("section", {}, el("h2", { id: tag.name }, tag.name), el("p", { class: "soft" }, prose(tag.description)));
  const links = [el("h2", {}, tag.name)];
  for (const [path, item] of Object.entries(api.paths)) {
    for (const [method, operation] of Object.entries(item)) {
      if (operation.tags[0] !== tag.name) continue;
      part.append(operationView(path, method, operation));
      links.push(el("a", { href: "#" + operation.operationId, title: method + " " + path },
        (operation.summary || "").replace(/\.$/, "")));
    }
  }
  main.append(part);
  index.append(el("div", {}, links));
}

function operationView(path, method, operation) {
  const inside = el("div", { class: "inside" }, paragraphs(operation.description));
  const parameters = (operation.parameters || []).map(resolve);
  if (parameters.length) inside.append(el("h4", {}, "Parameters"), table(["name", "in", "type", ""], parameters.map((one) =>
    [el("code", {}, one.name), one.in + (one.required ? ", required" : ""), type(one.schema), prose(one.description)])));
  if (operation.requestBody) inside.append(el("h4", {}, "Request"), ...bodyView(operation.requestBody));
  inside.append(el("h4", {}, "Answers"));
  const bad = [];
  for (const [status, given] of Object.entries(operation.responses)) {
    const answer = resolve(given);
    if (status >= "400") { bad.push([el("code", { class: "bad" }, status), prose(answer.description)]); continue; }
    inside.append(el("p", {}, el("code", { class: "good" }, status), " ", ...prose(answer.description)));
    for (const [name, header] of Object.entries(answer.headers || {}))
      inside.append(el("p", {}, "Header ", el("code", {}, name), ": ", ...prose(header.description)));
    inside.append(...bodyView(answer));
  }
  inside.append(table(["problem", ""], bad));
  return el("details", { id: operation.operationId, "data-words": (path + " " + method + " " + operation.summary + " " + operation.operationId + " " + JSON.stringify(operation)).toLowerCase() },
    el("summary", {}, el("span", { class: "method " + method }, method), el("span", { class: "path" }, path),
      el("span", { class: "title" }, operation.summary)), inside);
}

function bodyView(body) {
  return Object.entries(body.content || {}).flatMap(([kind, content]) => {
    const name = nameOf(content.schema);
    const head = el("p", {}, el("code", {}, kind), name ? " " : null, name ? el("a", { href: "#schema-" + name }, name) : null);
    return content.example === undefined ? [head] : [head, el("pre", {}, JSON.stringify(content.example, null, 2))];
  });
}

// A schema in a few words, with links to named ones.
function type(schema) {
  if (!schema) return [];
  if (schema.$ref) return [el("a", { href: "#schema-" + nameOf(schema) }, nameOf(schema))];
  if (schema.oneOf) return schema.oneOf.flatMap((one, at) => [at ? " or " : "", ...type(one)]);
  if (schema.type === "array") return ["list of ", ...type(schema.items)];
  const words = [[].concat(schema.type || "any").join(" or ")];
  if (schema.enum) words.push(": " + schema.enum.join(", "));
  if (schema.format) words.push(" (" + schema.format + ")");
  if (schema.pattern) words.push(" ", el("code", {}, schema.pattern));
  const bounds = [["minimum", "≥ "], ["maximum", "≤ "], ["minLength", "length ≥ "], ["maxLength", "length ≤ "], ["maxItems", "at most "]]
    .filter(([key]) => schema[key]).map(([key, sign]) => sign + schema[key]);
  return bounds.length ? [...words, " " + bounds.join(", ")] : words;
}

function schemas() {
  const part = el("section", {}, el("h2", { id: "schemas" }, "schemas"));
  for (const [name, schema] of Object.entries(api.components.schemas)) {
    const needed = new Set(schema.required || []);
    const inside = el("div", { class: "inside" }, paragraphs(schema.description));
    if (schema.properties) inside.append(table(["field", "type", ""], Object.entries(schema.properties).map(([field, one]) =>
      [el("code", { class: needed.has(field) ? "hit" : "" }, field), type(one),
        prose(one.description || ((one.oneOf || [])[0] || {}).description)])));
    else if (name === "ProblemCode") inside.append(el("p", {}, "See ", el("a", { href: "#problems" }, "problems"), "."));
    else inside.append(el("p", {}, ...type(schema)));
    part.append(el("details", { id: "schema-" + name, "data-words": (name + " " + JSON.stringify(schema)).toLowerCase() },
      el("summary", {}, el("span", { class: "path" }, name), el("span", { class: "title" }, ...prose(schema.description && schema.description.split("\n")[0]))), inside));
  }
  main.append(part);
  index.append(el("div", {}, el("h2", {}, "reference"), el("a", { href: "#schemas" }, "Schemas"), el("a", { href: "#problems" }, "Problem codes")));
}

function problems() {
  const rows = api["x-problems"].map((one) =>
    el("tr", { id: "problem-" + one.code, "data-words": Object.values(one).join(" ").toLowerCase() },
      el("td", {}, el("code", {}, one.code)), el("td", {}, String(one.status)), el("td", {}, one.title + ": " + one.advice)));
  const head = el("tr", {}, ["code", "status", "what it means, and what to do"].map((name) => el("th", {}, name)));
  main.append(el("section", {}, el("h2", { id: "problems" }, "problem codes"),
    el("div", { class: "scroll" }, el("table", {}, el("thead", {}, head), el("tbody", {}, rows)))));
}

function table(names, rows) {
  const cells = (row) => el("tr", {}, row.map((cell) => el("td", {}, ...[].concat(cell))));
  return el("div", { class: "scroll" }, el("table", {}, el("thead", {}, el("tr", {}, names.map((name) => el("th", {}, name)))),
    el("tbody", {}, rows.map(cells))));
}

function filter() {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const one of document.querySelectorAll("[data-words]"))
    one.hidden = !words.every((word) => one.dataset.words.includes(word));
  for (const part of document.querySelectorAll("main section"))
    part.hidden = words.length > 0 && !part.querySelector("[data-words]:not([hidden])");
}

function openTarget() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  if (target.tagName === "DETAILS") target.open = true;
  target.scrollIntoView();
}
