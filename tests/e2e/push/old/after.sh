echo "$1" >after
