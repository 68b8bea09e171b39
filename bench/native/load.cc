// The load generator of the benchmarks: one thread, a closed loop, results as JSON lines on stdout.
//
//   load echo --port P --connections N --bytes B --depth D --warmup-ms W --duration-ms T [--frames F] [--cpu C]
//                                           F: 0 bytes, 1 lines, 2 messages with their length in front
//   load download --port P --connections N --bytes B --downloads D [--cpu C]
//   load hold --port P [--cpu C]            commands on stdin, see hold_session.h
#include <cstring>

#include "command_line.h"
#include "cpu.h"
#include "download_run.h"
#include "echo_run.h"
#include "hold_session.h"
#include "listen_queue.h"

namespace {

using bench::CommandLine;

int run_echo(CommandLine& command_line, uint16_t port) {
  const bench::EchoOptions options{
      .port = port,
      .connections = static_cast<size_t>(command_line.take("connections", 50)),
      .message_bytes = static_cast<size_t>(command_line.take("bytes", 64)),
      .depth = static_cast<size_t>(command_line.take("depth", 1)),
      .frames = static_cast<bench::Pattern::Frames>(command_line.take("frames", 0)),
      .warmup_ms = command_line.take("warmup-ms", 500),
      .duration_ms = command_line.take("duration-ms", 2000),
  };
  command_line.reject_the_rest();
  if (options.connections == 0 || options.message_bytes == 0 || options.depth == 0) {
    (void)fprintf(stderr, "load: --connections, --bytes and --depth start at 1\n");
    return 2;
  }
  return bench::EchoRun(options).run() ? 0 : 1;
}

int run_download(CommandLine& command_line, uint16_t port) {
  const bench::DownloadOptions options{
      .port = port,
      .connections = static_cast<size_t>(command_line.take("connections", 1)),
      .bytes = command_line.take("bytes", 1 << 20),
      .downloads = command_line.take("downloads", 1),
  };
  command_line.reject_the_rest();
  return bench::DownloadRun(options).run() ? 0 : 1;
}

int run_hold(const CommandLine& command_line, uint16_t port) {
  command_line.reject_the_rest();
  return bench::HoldSession(port).run() ? 0 : 1;
}

}  // namespace

int main(int count, char** words) {
  const char* mode = count < 2 ? "" : words[1];
  if (strcmp(mode, "echo") != 0 && strcmp(mode, "hold") != 0 && strcmp(mode, "download") != 0) {
    (void)fprintf(stderr, "usage: load echo|hold|download --port P ...\n");
    return 2;
  }
  CommandLine command_line(count - 2, words + 2);
  const auto port = static_cast<uint16_t>(command_line.take("port", 0));
  if (!bench::pin_to_cpu(static_cast<int>(command_line.take("cpu", -1)))) {
    (void)fprintf(stderr, "load: can't run on the CPU that --cpu names\n");
    return 2;
  }
  if (bench::ListenQueue(port).length() < 0) {
    (void)fprintf(stderr, "load: no listener on 127.0.0.1:%u, or a kernel without inet_diag\n", port);
    return 1;
  }
  if (strcmp(mode, "download") == 0) return run_download(command_line, port);
  return strcmp(mode, "echo") == 0 ? run_echo(command_line, port) : run_hold(command_line, port);
}
