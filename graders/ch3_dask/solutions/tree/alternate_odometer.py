from dask import delayed


def tree(parts, op, fan_in):
    if not parts or fan_in < 2:
        raise ValueError("need at least one part and a fan_in of at least 2")

    # like a counter with digits 0 .. fan_in - 1: shelf[h] holds finished trees of height h
    shelves = []
    for part in parts:
        carry = part
        for shelf in shelves:
            shelf.append(carry)
            if len(shelf) < fan_in:
                carry = None
                break
            carry = delayed(op)(list(shelf))
            shelf.clear()
        if carry is not None:
            shelves.append([carry])

    # what is left: the higher shelves hold the earlier parts
    rest = None
    for shelf in shelves:
        group = shelf if rest is None else shelf + [rest]
        if len(group) > 1:
            rest = delayed(op)(list(group))
        elif group:
            rest = group[0]
    return rest
