# Runs the worker runtime, which precedes the frames on stdin: so it needs no file, the process list
# stays readable, and tracebacks still show its lines. The arguments: the sizes of its files in
# bytes, separated by commas, then those of its main().
import linecache, os, sys
if sys.version_info < (3, 9): sys.exit('ostler worker: Python 3.9 or later is needed')
worker = {'__name__': 'ostler_worker', '__file__': '<ostler_worker>'}
for name, size in zip(('<ostler_worker>', '<ostler_zygote>'), map(int, sys.argv[1].split(','))):
    source = b''
    while len(source) < size:
        piece = os.read(0, size - len(source))
        if not piece: sys.exit('ostler worker: the host closed the pipe before the worker had started')
        source += piece
    linecache.cache[name] = (size, None, source.decode().splitlines(True), name)
    exec(compile(source, name, 'exec'), worker)
sys.exit(worker['main'](*sys.argv[2:]))
