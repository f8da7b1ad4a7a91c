print("its turn has come")
