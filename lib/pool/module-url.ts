import { isAbsolute } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { invalidType, invalidValue } from '../base/errors.js'
import { isUrl } from '../base/validate.js'

/** @internal Returns the `file:` URL of a module that workers load; it is given as a URL or as an absolute path. */
export function checkModule(name: string, module: unknown): string {
  if (isUrl(module)) {
    const { href, protocol } = module
    if (protocol !== 'file:') throw invalidValue(`"${name}" must be an absolute path or a file: URL, got '${href}'`)
    return fileURLToPath(href) && href
  }
  if (typeof module !== 'string') throw invalidType(name, 'an absolute path or a file: URL', module)
  if (module.startsWith('file:')) return module
  if (!isAbsolute(module)) throw invalidValue(`"${name}" must be an absolute path or a file: URL, got '${module}'`)
  return pathToFileURL(module).href
}
