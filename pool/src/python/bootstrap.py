# Runs the worker runtime, which precedes the frames on stdin: so it needs no file, the process list
# stays readable, and tracebacks still show its lines. The arguments: the size of the runtime in
# bytes, then those of its main(). Each file of the runtime begins with a form feed and its name. They
# share one namespace, but for the module `ostler`, which runs when it is imported.
import linecache, os, sys
if sys.version_info < (3, 9): sys.exit('ostler worker: Python 3.9 or later is needed')
source, size = b'', int(sys.argv[1])
while len(source) < size:
    piece = os.read(0, size - len(source))
    if not piece: sys.exit(1)  # The host has ended or stops this worker.
    source += piece
worker = {'__name__': 'ostler_worker'}
for file in source.decode().split('\f')[1:]:
    name, _, text = file.partition('\n')
    linecache.cache[name] = (len(text), None, text.splitlines(True), name)
    if name == '<ostler>': worker['OSTLER'] = text
    else: exec(compile(text, name, 'exec'), worker)
sys.exit(worker['main'](*sys.argv[2:]))
