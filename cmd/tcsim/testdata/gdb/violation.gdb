# The hierarchy on 6.1: the 34th tail call stops as a signal, and the run could go on.
shell tcsim gdb hierarchy --target 6.1 --elf hierarchy.elf
file hierarchy.elf
target remote | tcsim gdb hierarchy --target 6.1 --stdio
continue
info registers rip retired cycles tail_call_cnt
monitor trace 3
stepi
info registers cycles retired
reverse-stepi
reverse-stepi
stepi
bt 2
monitor stack
