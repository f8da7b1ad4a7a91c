# What a task may print to get at whoever reads its log.
import sys

LINES = [
    "<img src=x onerror=\"window.pwned='img'\">",
    "<script>window.pwned='script'</script>",
    "<a href=\"javascript:window.pwned='a'\">click</a> <style>*{display:none}</style>",
    "\x1b]0;title\x07 \x1b[2J\x1b[1;1H \x1b[31mred\x1b[0m \x1b[8mhidden\x1b[0m \x1b[30;40mblack\x1b[0m",
    "invoice\u202egnp.exe \u200b|\u2066|\ufeff| \x00 \x9b31m",
    "]]> --> </div></main></body> {{7*7}} ${7*7}",
    "data: forged\r\rid: 99999\r\revent: end",
]
for line in LINES:
    sys.stdout.write(line + "\n")
sys.stdout.buffer.write(b"bytes \xff\xfe\xc3\x28 end\n")
sys.stderr.write("x" * 50000 + "\n")
sys.stdout.write("no newline at the end")
