/* What sending alone costs: the yardstick for `sabha-loadgen floor`; see scripts/compare-floor.sh.
   Usage: floor SIZE INTERVAL_MS SECONDS [GATHER] < ports, where GATHER packets to a port are one
   message that the kernel cuts. Prints CPU in ns, packets, packets with warm-up. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
static struct sockaddr_in to[65536];
static struct mmsghdr message[65536];
static double cpu_ns(void) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e9 + (u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1e3;
}
int main(int argc, char **argv) {
    if (argc < 4) return fputs("usage: floor SIZE INTERVAL_MS SECONDS [GATHER] < ports\n", stderr), 2;
    int size = atoi(argv[1]), gather = argc > 4 ? atoi(argv[4]) : 1;
    static char bytes[65536];
    struct iovec octets = {bytes, size * gather};
    long count = 0, all = 0, rounds = atof(argv[3]) * 1e3 / atoi(argv[2]), warm_up = 500 / atoi(argv[2]);
    for (unsigned port; count < 65536 && scanf("%u", &port) == 1; count++) {
        to[count] = (struct sockaddr_in){AF_INET, htons(port), {htonl(INADDR_LOOPBACK)}, {0}};
        message[count].msg_hdr = (struct msghdr){&to[count], sizeof to[count], &octets, 1, 0, 0, 0};
    }
    int fd = socket(AF_INET, SOCK_DGRAM, 0), buffer = 8 << 20;
    setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &buffer, sizeof buffer);
    if (gather > 1 && setsockopt(fd, SOL_UDP, UDP_SEGMENT, &size, sizeof size))
        return perror("UDP_SEGMENT"), 1;
    struct timespec due;
    clock_gettime(CLOCK_MONOTONIC, &due);
    double start_ns = 0;
    for (long round = -warm_up, sent; round < rounds; round++) {
        if (round == 0) start_ns = cpu_ns();
        for (long at = 0; at < count; at += sent, all += sent)
            if ((sent = sendmmsg(fd, message + at, count - at < 256 ? count - at : 256, 0)) < 1)
                return perror("sendmmsg"), 1;
        due.tv_nsec += atoi(argv[2]) * 1000000L;
        due.tv_sec += due.tv_nsec / 1000000000, due.tv_nsec %= 1000000000;
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL);
    }
    printf("%.0f %ld %ld\n", cpu_ns() - start_ns, rounds * count * gather, all * gather);
}
