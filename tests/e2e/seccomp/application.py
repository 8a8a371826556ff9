"""For gunicorn: stores what the query says in a file of its own and serves it from there."""

import tempfile


def application(environment, start_response):
    text = environment["QUERY_STRING"].encode()
    file = tempfile.TemporaryFile()
    file.write(text)
    file.seek(0)
    start_response("200 OK", [("Content-Length", str(len(text)))])
    return environment["wsgi.file_wrapper"](file)
