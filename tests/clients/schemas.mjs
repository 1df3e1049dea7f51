// Checks the schemas of a server's tools against the rules of validators and models: Ajv
// in strict mode, and the published rules for functions of OpenAI (other than its strict
// mode) and Gemini.
//
// Usage: schemas.mjs FILE, with the list of tools

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { Ajv2020 } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";

const [file] = process.argv.slice(2);
const tools = JSON.parse(await readFile(file, "utf8"));
assert.ok(tools.length > 40);

const problems = [];
for (const tool of tools) {
  for (const schema of ["inputSchema", "outputSchema"]) ajv(tool.name, tool[schema]);
  openai(tool);
  gemini(tool);
}
assert.deepEqual(problems, []);
process.stdout.write("ok\n");

function ajv(name, schema) {
  const note = (...words) => problems.push(`Ajv, ${name}: ${words.join(" ")}`);
  const validator = new Ajv2020({
    strict: true,
    strictTypes: true,
    strictTuples: true,
    strictRequired: true,
    logger: { log: note, warn: note, error: note },
  });
  addFormats(validator);
  try {
    validator.compile(schema);
  } catch (error) {
    note(error.message);
  }
}

/** https://platform.openai.com/docs/guides/function-calling */
function openai(tool) {
  const note = (problem) => problems.push(`OpenAI, ${tool.name}: ${problem}`);
  if (!/^[a-zA-Z0-9_-]{1,64}$/.test(tool.name)) note("the name");
  if (tool.description.length > 1024) note("a description of more than 1024 characters");
  const root = tool.inputSchema;
  if (root.type !== "object") note("it is no object");
  for (const keyword of ["oneOf", "anyOf", "allOf", "enum", "not"]) {
    if (keyword in root) note(`${keyword} at the top level`);
  }
  walk(root, (schema, path) => {
    if (schema.type === "object" && !schema.properties) note(`${path} without properties`);
    if (schema.type === "array" && !schema.items) note(`${path} without items`);
    for (const required of schema.required ?? []) {
      if (!(required in schema.properties)) note(`${path} requires ${required}, which is none`);
    }
  });
}

/** https://ai.google.dev/api/caching#FunctionDeclaration and #Schema */
function gemini(tool) {
  const note = (problem) => problems.push(`Gemini, ${tool.name}: ${problem}`);
  if (!/^[a-zA-Z_][a-zA-Z0-9_.-]{0,63}$/.test(tool.name)) note("the name");
  const types = ["string", "number", "integer", "boolean", "array", "object"];
  const formats = { string: ["enum", "date-time"], integer: ["int32", "int64"], number: ["float", "double"] };
  // prettier-ignore
  const keywords = [
    "type", "format", "title", "description", "nullable", "enum", "maxItems", "minItems",
    "properties", "required", "minProperties", "maxProperties", "minLength", "maxLength",
    "pattern", "example", "anyOf", "propertyOrdering", "default", "items", "minimum", "maximum",
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
    if (schema.type === "object" && !Object.keys(schema.properties ?? {}).length) {
      note(`${path} has no properties`);
    }
    for (const name of Object.keys(schema.properties ?? {})) {
      if (!/^[a-zA-Z_][a-zA-Z0-9_]{0,63}$/.test(name)) note(`the name ${path}.${name}`);
    }
  });
}

function walk(schema, visit, path = "$") {
  visit(schema, path);
  for (const [name, property] of Object.entries(schema.properties ?? {})) {
    walk(property, visit, `${path}.${name}`);
  }
  if (schema.items) walk(schema.items, visit, `${path}[]`);
}
