/**
 * Calling C through koffi: the only module with untyped values. Pointers are BigInt, null pointers
 * null; a null pointer must never reach `koffi.view` (it ends the process).
 */
import koffi from 'koffi';

export type Pointer = bigint;
export type Maybe = Pointer | null;
export type Library = ReturnType<typeof koffi.load>;

/** A shared library, by its soname. Throws if there is none. */
export function load(soname: string): Library {
  return koffi.load(soname);
}

// koffi returns `any`; the signature written beside each symbol is the promise.
// eslint-disable-next-line @typescript-eslint/no-unnecessary-type-parameters
export function fn<F>(library: Library, prototype: string): F {
  return library.func(prototype) as unknown as F;
}

/** The same, called in another thread, with what is called back afterwards as its last argument. */
// eslint-disable-next-line @typescript-eslint/no-unnecessary-type-parameters
export function fnLater<F>(library: Library, prototype: string): F {
  return library.func(prototype).async as unknown as F;
}

/** A function that C may call for as long as the process lives. It must not throw. */
export function callback(prototype: string, call: (...args: never[]) => number): unknown {
  return koffi.register(call, koffi.pointer(koffi.proto(prototype)));
}

export const MAP_FAILED = 0xffffffffffffffffn;

/** errno of the call just made; read it before anything else is called. */
export function errno(): number {
  return koffi.errno();
}

/** The memory at a pointer, without copying. The mapping must outlive it. */
export function viewMemory(pointer: Pointer, length: number): ArrayBuffer {
  if (pointer === 0n || pointer === MAP_FAILED) throw new Error('view of a null pointer');
  return koffi.view(pointer, length);
}
