// Checks the list of tools against the rules of those who get it: Ajv in strict mode, the
// APIs of OpenAI (functions other than strict ones) and Gemini, and VS Code.
//
// Usage: schemas.mjs (with-outputs|without-outputs) FILE, with the list of tools

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { Ajv } from "ajv";
import { Ajv2020 } from "ajv/dist/2020.js";

const [outputs, file] = process.argv.slice(2);
const tools = JSON.parse(await readFile(file, "utf8"));
assert.ok(tools.length > 40);

const problems = [];
for (const tool of tools) {
  assert.equal(tool.outputSchema !== undefined, outputs === "with-outputs", tool.name);
  for (const schema of [tool.inputSchema, tool.outputSchema]) {
    if (schema) ajv(tool.name, schema);
  }
  openai(tool);
  gemini(tool);
  vscode(tool);
}
// https://github.com/microsoft/vscode-copilot-release/issues/13065 (2025-12-06): a request
// with more than 128 tools, which is the limit of OpenAI too, is refused.
assert.ok(tools.length <= 128, `${tools.length} tools`);
assert.deepEqual(problems, []);
process.stdout.write("ok\n");

/**
 * https://ajv.js.org/strict-mode.html, of Ajv 8: unknown keywords and formats, keywords
 * without a type that they belong to, lists of types and undeclared required fields are errors.
 * There are no formats here beyond Ajv's own, which are none. Draft 7 is what the TypeScript
 * SDK assumes, and 2020-12 what MCP 2025-11-25 and later do.
 */
function ajv(name, schema) {
  for (const Draft of [Ajv, Ajv2020]) {
    const note = (...words) => problems.push(`${Draft.name}, ${name}: ${words.join(" ")}`);
    const validator = new Draft({
      strict: true,
      strictTypes: true,
      strictTuples: true,
      strictRequired: true,
      logger: { log: note, warn: note, error: note },
    });
    try {
      validator.compile(schema);
    } catch (error) {
      note(error.message);
    }
  }
}

/**
 * - The name: `FunctionObject` in https://github.com/openai/openai-openapi (openapi.yaml, read on
 *   2026-11-30): letters, digits, underscores and dashes, at most 64.
 * - `properties` of objects and `items` of arrays: "object schema missing properties", "array
 *   schema missing items" of the API, as in
 *   https://github.com/openai/openai-agents-python/issues/449 (2025-04-07) and
 *   https://github.com/spacelift-io/spacectl/issues/402 (2026-03-18).
 * - 1024 characters of a description, an object at the top, and no combination of schemas there:
 *   what VS Code cuts for the GPT-4 models, see `vscode`.
 */
function openai(tool) {
  const note = (problem) => problems.push(`OpenAI, ${tool.name}: ${problem}`);
  if (!/^[a-zA-Z0-9_-]{1,64}$/.test(tool.name)) note("the name");
  if (tool.description.length > 1024) note("a description of more than 1024 characters");
  const root = tool.inputSchema;
  if (root.type !== "object") note("it is no object");
  for (const keyword of ["oneOf", "anyOf", "allOf", "enum", "not", "$schema", "$ref"]) {
    if (keyword in root) note(`${keyword} at the top level`);
  }
  walk(root, (schema, path) => {
    if (schema.type === "object" && !schema.properties) note(`${path} without properties`);
    if (schema.type === "array" && !schema.items) note(`${path} without items`);
    for (const required of schema.required ?? []) {
      if (!schema.properties?.[required]) note(`${path} requires ${required}, which is none`);
    }
  });
}

/**
 * - Keywords, types and formats: `Schema` in https://ai.google.dev/api/caching#Schema and
 *   google/ai/generativelanguage/v1beta/content.proto of https://github.com/googleapis/googleapis,
 *   at 130b1135, the older of two that were read on 2026-11-30: the newer one (c76b7407) adds
 *   `title`, `minimum`, `maximum`, `anyOf`, `propertyOrdering` and `default`. Any other name is an
 *   error: https://github.com/promptfoo/promptfoo/issues/6902 (2026-01-01).
 * - The name: `FunctionCall` there: letters, digits, underscores and dashes, at most 63.
 * - The names of parameters: `FunctionDeclaration` of Vertex AI,
 *   https://cloud.google.com/vertex-ai/generative-ai/docs/reference (read on 2026-11-30).
 * - "properties: should be non-empty for OBJECT type":
 *   https://github.com/MarkusPfundstein/mcp-obsidian/issues/21 (2025-03-20); "only allowed for
 *   OBJECT type": https://github.com/anomalyco/opencode/issues/11889 (2026-02-03).
 */
function gemini(tool) {
  const note = (problem) => problems.push(`Gemini, ${tool.name}: ${problem}`);
  if (!/^[a-zA-Z_][a-zA-Z0-9_-]{0,62}$/.test(tool.name)) note("the name");
  const types = ["string", "number", "integer", "boolean", "array", "object"];
  const formats = { string: ["enum", "date-time"], integer: ["int32", "int64"], number: ["float", "double"] };
  // prettier-ignore
  const keywords = [
    "type", "format", "description", "nullable", "enum", "items", "maxItems", "minItems",
    "properties", "required",
  ];
  walk(tool.inputSchema, (schema, path) => {
    for (const keyword of Object.keys(schema)) {
      if (!keywords.includes(keyword)) note(`${path} has ${keyword}`);
    }
    if (!types.includes(schema.type)) note(`${path} has the type ${JSON.stringify(schema.type)}`);
    if (schema.format && !formats[schema.type]?.includes(schema.format)) {
      note(`${path} has the format ${schema.format}`);
    }
    if (schema.enum && schema.type !== "string") note(`${path} has an enum of ${schema.type}`);
    if (schema.enum?.some((word) => typeof word !== "string" || !word)) note(`${path} has other words`);
    const names = Object.keys(schema.properties ?? {});
    if (schema.type === "object" && !names.length) note(`${path} has no properties`);
    if (schema.type !== "object" && (schema.properties || schema.required)) {
      note(`${path} has fields, but is no object`);
    }
    for (const name of names) {
      if (!/^[a-zA-Z_][a-zA-Z0-9_]{0,63}$/.test(name)) note(`the name ${path}.${name}`);
    }
  });
}

/**
 * VS Code changes what breaks these rules, or leaves the tool out.
 *
 * - The name of a tool has only letters, digits, underscores and dashes, and the description is not
 *   empty: `_normalizeTool` in src/vs/workbench/contrib/mcp/common/mcpServer.ts of
 *   https://github.com/microsoft/vscode, at 0052d689. With the prefix of the server, which takes up
 *   to 18, it has at most 64: `McpToolName` in mcpTypes.ts there.
 * - The schema fits the meta-schema of draft 7: the same. Ajv compares it above.
 * - Arrays have items, and no keyword is among those that the GPT-4 models do not support:
 *   src/extension/tools/common/toolSchemaNormalizer.ts of
 *   https://github.com/microsoft/vscode-copilot-chat, at 1700547f (all read on 2026-11-30).
 */
function vscode(tool) {
  const note = (problem) => problems.push(`VS Code, ${tool.name}: ${problem}`);
  if (!/^[a-z0-9_-]+$/i.test(tool.name)) note("the name");
  if (tool.name.length + 18 > 64) note("the name is too long");
  if (!tool.description) note("no description");
  if (!tool.inputSchema.properties) note("no properties");
  // prettier-ignore
  const unsupported = [
    "minLength", "maxLength", "pattern", "default", "format", "minimum", "maximum", "multipleOf",
    "patternProperties", "unevaluatedProperties", "propertyNames", "minProperties",
    "maxProperties", "unevaluatedItems", "contains", "minContains", "maxContains", "minItems",
    "maxItems", "uniqueItems", "oneOf", "anyOf", "allOf", "not", "if", "then", "else",
  ];
  walk(tool.inputSchema, (schema, path) => {
    for (const keyword of unsupported) if (keyword in schema) note(`${path} has ${keyword}`);
    if (schema.type === "array" && !schema.items) note(`${path} without items`);
    if (schema.description?.length > 1024) note(`${path} has a long description`);
  });
}

function walk(schema, visit, path = "$") {
  visit(schema, path);
  for (const [name, property] of Object.entries(schema.properties ?? {})) {
    walk(property, visit, `${path}.${name}`);
  }
  if (schema.items) walk(schema.items, visit, `${path}[]`);
}
