"A small web server in a thread, for tests: nothing of it reaches the streams of another test."

import contextlib, socketserver, sys, threading


class Server(socketserver.ThreadingTCPServer):
    """Ends while requests hang, and is silent when a client goes away in the middle of an answer:
    socketserver would print a traceback, at any later time, into whatever test runs then."""

    daemon_threads, block_on_close = True, False

    def __init__(self, handler):
        super().__init__(('127.0.0.1', 0), handler)
        self.gone = []

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], ConnectionError):
            return super().handle_error(request, client_address)
        self.gone.append(client_address)


@contextlib.contextmanager
def serving(handler):
    "(its address, the server) of a web server on this machine, until the block ends"
    with Server(handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield f'http://127.0.0.1:{server.server_address[1]}', server
        finally:
            server.shutdown()
