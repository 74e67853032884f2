def ring(comm, x):
    rank, size = comm.rank, comm.size
    right, left = (rank + 1) % size, (rank - 1) % size
    length = len(x) // size
    total = x.clone()

    def piece(i):
        i = i % size
        return total[i * length : (i + 1) * length]

    for step in range(size - 1):
        work = comm.isend(piece(rank - step), right)
        piece(rank - step - 1).add_(comm.recv(left))
        work.wait()
    for step in range(size - 1):
        work = comm.isend(piece(rank - step + 1), right)
        piece(rank - step).copy_(comm.recv(left))
        work.wait()
    return total
