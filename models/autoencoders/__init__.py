"""The autoencoders.

| family | what it adds | paper |
|---|---|---|
| vanilla | a bottleneck of fully connected layers | Rumelhart, Hinton, Williams 1986; Hinton, Salakhutdinov 2006 |
"""
