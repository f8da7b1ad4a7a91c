# shellcheck shell=sh
echo "$1" >after
