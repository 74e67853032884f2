def ring(comm, x):
    right, left = (comm.rank + 1) % comm.size, (comm.rank - 1) % comm.size
    total, travelling = x.clone(), x
    for _ in range(comm.size - 1):
        work = comm.isend(travelling, right)
        travelling = comm.recv(left)
        work.wait()
        total += travelling
    return total
