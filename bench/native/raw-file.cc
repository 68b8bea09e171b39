// The raw C peer of the file scenario: `raw-file DIRECTORY` replies to each GET /NAME with that file, by send(2) of the
// head with MSG_MORE and sendfile(2) of the rest, and to GET /echo from memory, with one edge-triggered epoll, as a
// minimal C program would do. It ends with the end of stdin.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <string>
#include <unordered_map>

#include "json_line.h"

namespace {

struct Answer {
  int file = -1;
  off_t offset = 0;
  off_t size = 0;
};

constexpr char kEcho[] = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\necho";

int epoll = -1;
int listener = -1;
std::unordered_map<int, Answer> answers;

void watch(int fd, uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.fd = fd;
  epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

void drop(int fd) {
  if (answers[fd].file >= 0) close(answers[fd].file);
  answers.erase(fd);
  close(fd);
}

void go_on(int fd, Answer& answer) {
  while (answer.offset < answer.size) {
    const ssize_t sent = sendfile(fd, answer.file, &answer.offset, static_cast<size_t>(answer.size - answer.offset));
    if (sent < 0 && errno == EAGAIN) return;
    if (sent <= 0) return drop(fd);
  }
  close(answer.file);
  answer = {};
}

void read_request(int fd) {
  char bytes[4096];
  for (;;) {
    const ssize_t got = recv(fd, bytes, sizeof bytes, 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) return drop(fd);
    const std::string request(bytes, static_cast<size_t>(got));
    if (request.starts_with("GET /echo ")) {
      send(fd, kEcho, sizeof kEcho - 1, MSG_NOSIGNAL);
      continue;
    }
    const size_t end = request.find(' ', 5);
    Answer& answer = answers[fd];
    answer.file = open(request.substr(5, end - 5).c_str(), O_RDONLY | O_CLOEXEC);
    struct stat status {};
    if (answer.file < 0 || fstat(answer.file, &status) != 0) return drop(fd);
    answer.size = status.st_size;
    const std::string head = "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(answer.size) + "\r\n\r\n";
    send(fd, head.data(), head.size(), MSG_NOSIGNAL | MSG_MORE);
    go_on(fd, answer);
  }
}

bool listen_on_loopback() {
  epoll = epoll_create1(EPOLL_CLOEXEC);
  listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (bind(listener, reinterpret_cast<sockaddr*>(&address), size) != 0 || listen(listener, 4096) != 0) return false;
  watch(listener, EPOLLIN);
  watch(STDIN_FILENO, EPOLLIN);
  getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size);
  bench::JsonLine("listening").add("port", ntohs(address.sin_port)).print();
  return true;
}

void serve(int fd, uint32_t events) {
  if (fd == listener) {
    const int accepted = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (accepted >= 0) watch(accepted, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
    return;
  }
  const auto found = answers.find(fd);
  if (found != answers.end() && found->second.file >= 0) return go_on(fd, found->second);
  if ((events & ~uint32_t{EPOLLOUT}) != 0) read_request(fd);
}

}  // namespace

int main(int count, char** words) {
  signal(SIGPIPE, SIG_IGN);
  if (count != 2 || chdir(words[1]) != 0 || !listen_on_loopback()) {
    perror("raw-file");
    return 1;
  }
  epoll_event events[256];
  for (;;) {
    const int ready = epoll_wait(epoll, events, 256, -1);
    for (int i = 0; i < ready; i++) {
      if (events[i].data.fd == STDIN_FILENO) return 0;
      serve(events[i].data.fd, events[i].events);
    }
  }
}
