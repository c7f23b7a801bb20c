"""What tests of SCOOP's broker share: one who comes to it, as a worker does."""

import pickle

import zmq


def messages_get_through(address, endpoint=None, *, seconds=1.0):
    """Whether a broker answers to one who comes, as a worker does."""
    context = zmq.Context()
    socket = context.socket(zmq.DEALER)
    socket.linger = 0
    if endpoint is not None:
        endpoint.secure(socket)
    try:
        socket.connect(address)
        socket.send_multipart([b"I", pickle.dumps({})])
        return bool(socket.poll(int(1000 * seconds)))
    finally:
        context.destroy(linger=0)
