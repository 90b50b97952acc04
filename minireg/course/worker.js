// Python in the browser: Pyodide and NumPy from python/ beside this file, and minireg in a zip.
// The page posts requests of minireg.course.answers and hears {reply}, before it {printed}
// for what is printed meanwhile; before all that {got: bytes so far}, then {ready} or {error}.
import { loadPyodide } from "./python/pyodide.mjs";

const here = name => new URL(name, import.meta.url).href;
const fetched = self.fetch.bind(self);
let got = 0;

// Every file is counted as it comes in: 17 MB take a while, and a reader should see that they do.
self.fetch = async (...request) => {
  const response = await fetched(...request);
  if (!response.body) return response;
  const count = new TransformStream({ transform(chunk, out) {
    postMessage({ got: (got += chunk.byteLength) });
    out.enqueue(chunk);
  } });
  const { status, statusText, headers } = response;
  return new Response(response.body.pipeThrough(count), { status, statusText, headers });
};

async function boot() {
  const [python, zip] = await Promise.all([
    loadPyodide({ indexURL: here("./python/"), packages: ["numpy"] }),
    fetch(here("./python/minireg.zip")).then(response => response.arrayBuffer()),
  ]);
  python.FS.writeFile("/minireg.zip", new Uint8Array(zip));
  return python.runPython(`
import json, sys, zipfile
zipfile.ZipFile("/minireg.zip").extractall("/site")
sys.path.insert(0, "/site")
from minireg.course.answers import answer
lambda text, hear: json.dumps(answer(json.loads(text), hear))`);
}

const started = boot();
started.then(() => postMessage({ ready: true }), error => postMessage({ error: String(error) }));

onmessage = async ({ data }) => {
  const hear = printed => postMessage({ printed });
  try { postMessage({ reply: JSON.parse((await started)(JSON.stringify(data), hear)) }); }
  catch (error) { postMessage({ reply: { error: String(error) } }); } // out of memory, say
};
