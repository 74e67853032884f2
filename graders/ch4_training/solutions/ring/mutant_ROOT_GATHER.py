def ring(comm, x):
    if comm.rank == 0:
        for other in range(1, comm.size):
            x = x + comm.recv(other)
        for other in range(1, comm.size):
            comm.send(x, other)
        return x
    comm.send(x, 0)
    return comm.recv(0)
