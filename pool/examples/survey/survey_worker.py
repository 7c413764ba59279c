"""The function that the survey's workers run: parse one Python file and count its definitions."""

import ast
import os
import warnings


def setup():
    # Old code has invalid escapes, for which the parser would print a warning each.
    warnings.simplefilter("ignore")


def parse(request):
    with open(request["path"], "rb") as file:
        source = file.read()
    lines = source.count(b"\n") + (not source.endswith(b"\n") and source != b"")
    try:
        tree = ast.parse(source, filename=os.path.basename(request["path"]))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return {"lines": lines, "unparsable": f"{type(error).__name__}: {error}"}
    functions = classes = documented = 0
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            functions += 1
        elif isinstance(node, ast.ClassDef):
            classes += 1
        elif not isinstance(node, ast.Module):
            continue
        documented += ast.get_docstring(node, clean=False) is not None
    return {"lines": lines, "functions": functions, "classes": classes, "documented": documented}
