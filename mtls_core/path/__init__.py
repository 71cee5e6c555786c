"""Path validation as RFC 5280, section 6 describes it, for one path at a time.

``build`` proposes paths, ``validate`` says everything that is wrong with one, ``search`` takes the first with which
nothing is wrong. No clock, no files, no sockets: certificates, rules and a time go in, problems come out. What the leaf
is wanted for is a parameter, so that clients and servers are judged by the same code.
"""
