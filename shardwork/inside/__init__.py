"""What runs inside a sandbox before any student code does: the zygote, its children, the kernel.

Everything here is started by the trusted side with plain data (`orders`), and holds nothing that a
student may not see: no grader, no course folder, no other submission.
"""
