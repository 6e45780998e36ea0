#!/usr/bin/perl
# An agent written from scripts/agents/README.md alone, in a language that the repository has nothing else of: it shows that
# the page is enough. It speaks HTTP and the Redis protocol over plain sockets and does one task at a time.
#
# `agent.pl --break RULE` breaks one rule, to show that the kit sees it. `agent.pl --patient` reads seldom, and so knows of a
# cancellation before it has begun what is cancelled.
use strict;
use warnings;
use IO::Select;
use IO::Socket::INET;
use JSON::PP;
use Time::HiRes qw(sleep time);

my $breaks = @ARGV == 2 && $ARGV[0] eq '--break' ? $ARGV[1] : '';
my $patient = "@ARGV" eq '--patient';
my $json = JSON::PP->new->canonical->allow_nonref->utf8;
my ($api_host, $api_port) = $ENV{ORCHESTRATOR_API} =~ m{^http://([^:/]+):(\d+)} or die "ORCHESTRATOR_API is no address\n";
my $leaving = 0;
$SIG{TERM} = $SIG{INT} = sub { $leaving = 1 };
$SIG{PIPE} = 'IGNORE';

# --- HTTP: one request, one connection --------------------------------------------------------------------------------

sub post {
    my ($path, $body) = @_;
    my $socket = IO::Socket::INET->new(PeerHost => $api_host, PeerPort => $api_port, Timeout => 5) or return (0, '');
    printf $socket "POST %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\n"
        . "Content-Length: %d\r\nConnection: close\r\n\r\n%s", $path, $api_host, $ENV{ORCHESTRATOR_TOKEN}, length $body, $body;
    local $/;
    my $answer = <$socket> // '';
    my ($status) = $answer =~ m{^HTTP/1\.1 (\d+)};
    my ($head, $text) = split /\r\n\r\n/, $answer, 2;
    if (($head // '') =~ /transfer-encoding: chunked/i) {
        my ($rest, $whole) = ($text, '');
        while ($rest =~ s/^([0-9a-f]+)\r\n//i) {
            my $size = hex $1 or last;
            $whole .= substr $rest, 0, $size, '';
            $rest =~ s/^\r\n//;
        }
        $text = $whole;
    }
    return ($status // 0, $text // '');
}

# --- Redis: RESP2, one command at a time ------------------------------------------------------------------------------

my ($redis, $buffer, %registration, $user, $password, $redis_host, $redis_port);

sub fill {
    my ($until) = @_;
    my $wait = $until - time;
    die "TIMEOUT\n" if $wait <= 0 || !IO::Select->new($redis)->can_read($wait);
    sysread($redis, my $more, 65536) or die "CLOSED\n";
    $buffer .= $more;
}

sub line {
    my ($until) = @_;
    fill($until) until $buffer =~ s/^([^\r\n]*)\r\n//;
    return $1;
}

sub reply {
    my ($until) = @_;
    my $line = line($until);
    my ($kind, $rest) = (substr($line, 0, 1), substr($line, 1));
    die "$rest\n" if $kind eq '-';
    return $rest if $kind eq '+' || $kind eq ':';
    return undef if $rest == -1;
    if ($kind eq '$') {
        fill($until) until length $buffer >= $rest + 2;
        my $text = substr $buffer, 0, $rest, '';
        substr $buffer, 0, 2, '';
        return $text;
    }
    return [map { reply($until) } 1 .. $rest];
}

sub command {
    my @words = @_;
    unless ($redis) {
        $buffer = '';
        $redis = IO::Socket::INET->new(PeerHost => $redis_host, PeerPort => $redis_port, Timeout => 3) or die "CLOSED\n";
        command('AUTH', $user, $password);
    }
    my $text = '*' . @words . "\r\n" . join '', map { '$' . length($_) . "\r\n$_\r\n" } @words;
    syswrite($redis, $text) // die "CLOSED\n";
    return reply(time + 5);
}

# --- The agent --------------------------------------------------------------------------------------------------------

my (%seen, %running, $draining, $stale, $last_report, $id);

sub register {
    my $wait = 0.2;
    until ($leaving) {
        my $body = $json->encode({ type => 'perl_echo', slots => 1, version => '1', ($id ? (id => $id) : ()) });
        my ($status, $text) = post('/api/v1/agents', $body);
        if ($status == 201) {
            %registration = %{ $json->decode($text) };
            $id = $registration{id};
            ($user, $password, $redis_host, $redis_port) =
                $registration{redis}{url} =~ m{^redis://([^:@/]*):([^@/]*)@([^:/]+):(\d+)} or die "no address of Redis\n";
            close $redis if $redis;
            ($redis, $draining, $stale, $last_report, %running) = (undef, 0, 0, 0);
            return;
        }
        die "registration: $status $text\n" if $status =~ /^4/ && $status !~ /^4(?:08|09|29)$/;
        sleep $wait;
        $wait = $wait * 2 > 5 ? 5 : $wait * 2;
    }
}

sub report {
    my ($kind, %fields) = @_;
    my $generation = $registration{generation} + ($breaks eq 'R7' ? 1 : 0);
    command('XADD', $registration{redis}{outbox}, '*', kind => $kind, agent => $id, generation => $generation, %fields);
    $last_report = time;
}

sub beat {
    return if $breaks eq 'R11';
    my @attempts = map { { task => $running{$_}, token => $_ } } sort keys %running;
    report('heartbeat', attempts => $json->encode(\@attempts));
}

sub work {
    my ($message) = @_;
    my %attempt = (task => $message->{task}, token => $message->{token});
    return if $seen{ $attempt{token} }++ && $breaks ne 'R5';
    return report('released', %attempt, reason => 'no new work') if $draining || $leaving;
    $running{ $attempt{token} } = $attempt{task};
    report('started', %attempt) if $breaks ne 'R8';
    my $result = $breaks eq 'R10' ? 'no JSON' : $json->encode({ echo => $json->decode($message->{parameters}) });
    report('completed', %attempt, result => $result);
    report('completed', %attempt, result => $result) if $breaks eq 'R9';
    delete $running{ $attempt{token} };
}

sub obey {
    my ($message) = @_;
    my $kind = $message->{kind} // '';
    if ($kind eq 'assign') { work($message) }
    elsif ($kind eq 'cancel') {
        report('cancelled', task => $message->{task}, token => $message->{token}) unless $seen{ $message->{token} }++;
    }
    elsif ($kind eq 'drain') { $draining = 1 }
    elsif ($kind eq 'shutdown') { $leaving = 1 }
    elsif ($kind eq 'refused') { $stale = 1 if $message->{report} eq 'heartbeat' && $breaks ne 'R12' }
}

sub serve {
    my $from = $breaks eq 'R3' ? '>' : '0';
    until ($leaving || $stale) {
        beat() if time - $last_report > $registration{heartbeat_interval_ms} / 1000 * 0.6;
        sleep 0.3 if $patient;
        my @streams = ('STREAMS', $registration{redis}{inbox}, $from);
        my $found = command('XREADGROUP', 'GROUP', $registration{redis}{group}, $id, 'COUNT', 10, 'BLOCK', 200, @streams);
        my @entries = $found ? @{ $found->[0][1] } : ();
        $from = @entries ? $entries[-1][0] : '>' if $from ne '>';
        my @messages = map { { @{ $_->[1] // [] } } } @entries;
        @messages = sort { ($b->{kind} eq 'cancel') <=> ($a->{kind} eq 'cancel') } @messages if $patient;
        obey($_) for @messages;
        for my $entry (@entries) {
            command('XACK', $registration{redis}{inbox}, $registration{redis}{group}, $entry->[0]) if $breaks ne 'R4';
        }
    }
}

until ($leaving) {
    register();
    until ($leaving || $stale) {
        next if eval { serve(); 1 };
        my $error = $@;
        close $redis if $redis;
        $redis = undef;
        if ($error =~ /^(?:WRONGPASS|NOPERM|NOAUTH|NOGROUP)/) { $stale = 1 }
        else { warn $error; sleep 0.2 }
    }
}
eval {
    report('released', task => $running{$_}, token => $_, reason => 'stopped') for sort keys %running;
    report('goodbye') if $breaks ne 'R17';
};
