// Copies the compiled addon to the place where node-gyp-build looks for a prebuild, so that the packed package works
// without a compiler and without install scripts. Prebuilds of other machines may be next to it: each is named by
// platform, architecture and libc.
import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
// Node's own report has the version of glibc, but none of musl.
const { header } = /** @type {{ header: object }} */ (process.report.getReport())
const libc = 'glibcVersionRuntime' in header ? 'glibc' : 'musl'
const folder = `${root}prebuilds/${process.platform}-${process.arch}`
const prebuild = `${folder}/c1m.${libc}.node`

mkdirSync(folder, { recursive: true })
copyFileSync(`${root}build/Release/c1m.node`, prebuild)
execFileSync('strip', ['--strip-unneeded', prebuild])
console.log(prebuild.slice(root.length))
