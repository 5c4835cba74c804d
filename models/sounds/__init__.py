"""Reading and writing of files of sound, without torch: the processes that decode them start in a moment.

files: WAV, FLAC and Ogg, brought to the channels and the sampling rate of a model.
"""
