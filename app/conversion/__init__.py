"""The conversion of pickled weights to safetensors, by the command line alone and never by the server.

convert    finds the pickles of a folder, has them converted, and puts the results in their place
unpickle   reads and writes the weights; it is the program of a child process without network
"""
