/** Programs and builtins of shells behind which no reader sees what is run. */

const words = (...lines: readonly string[]): ReadonlySet<string> => new Set(lines.flatMap((line) => line.split(' ')));

/** They run text, or what comes in through a pipe. */
export const SHELLS = words(
  'sh bash dash ash zsh ksh mksh pdksh ksh93 rbash rksh yash fish csh tcsh rc es elvish nu xonsh busybox toybox pwsh powershell',
  'cmd cmd.exe powershell.exe pwsh.exe git-shell',
);

/** They run a program that their arguments name. */
export const RUNNERS = words(
  'env xargs nohup nice ionice chrt taskset timeout time setsid stdbuf unbuffer watch parallel sem script strace ltrace gdb',
  'sudo doas su runuser pkexec chroot unshare nsenter setpriv capsh flock lockf start-stop-daemon systemd-run at batch crontab',
  'entr rlwrap faketime fakeroot proot dbus-run-session expect tmux screen nc ncat netcat socat choom prlimit setarch linux32',
  'linux64 i386 x86_64 uname26 exec-with busctl cpulimit run-parts run-one chpst softlimit envdir setuidgid s6-setuidgid',
);

/** Builtins that run text, or change what later names and words mean, and those that take a name to assign to: `a[$(id)]`. */
export const BUILTINS = words(
  'eval source . exec command builtin trap alias unalias enable hash bind complete compgen compopt shopt set export declare',
  'typeset local readonly unset read mapfile readarray let getopts fc history coproc function autoload zmodload functions',
  'emulate noglob nocorrect setopt unsetopt whence',
);
