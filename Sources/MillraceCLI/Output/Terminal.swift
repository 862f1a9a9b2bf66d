#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// One of the two places a command writes to. Colours and redrawn lines are for people at a terminal only.
struct Terminal: Sendable {
    static let output = Terminal(descriptor: STDOUT_FILENO)
    static let error = Terminal(descriptor: STDERR_FILENO)

    /// A descriptor that was closed before the start would go to the next file or socket that is opened, and results into that.
    /// In its place stands one that can be neither read nor written as it ought to be, so that its use fails as it should.
    static func occupyClosedDescriptors() {
        for (descriptor, mode) in [(STDIN_FILENO, O_WRONLY), (STDOUT_FILENO, O_RDONLY), (STDERR_FILENO, O_WRONLY)]
        where fcntl(descriptor, F_GETFD) == -1 {
            _ = open("/dev/null", mode)
        }
    }

    enum Style: String {
        case bold = "1"
        case dim = "2"
        case red = "31"
        case green = "32"
        case yellow = "33"
        case blue = "34"
        case cyan = "36"
    }

    private let descriptor: Int32
    let isInteractive: Bool
    private let usesColour: Bool

    private init(descriptor: Int32) {
        self.descriptor = descriptor
        let environment = ProcessInfo.processInfo.environment
        isInteractive = isatty(descriptor) == 1 && environment["TERM"] != "dumb"
        usesColour = isInteractive && (environment["NO_COLOR"] ?? "").isEmpty
    }

    /// Writes all of it, unbuffered, and waits for a slow reader. A pipe whose reader has gone ends the process as its
    /// signal does.
    ///
    /// - Throws: ``Failure`` where not all of it could be written: results that are lost are no success.
    func write(_ text: String) throws {
        var text = text
        try text.withUTF8 { bytes in
            var rest = UnsafeRawBufferPointer(bytes)
            while !rest.isEmpty {
                let count = writeBytes(descriptor, rest.baseAddress, rest.count)
                if count >= 0 {
                    rest = UnsafeRawBufferPointer(rebasing: rest[count...])
                } else if errno == EAGAIN || errno == EWOULDBLOCK {
                    // Whoever shares this terminal or pipe has made it non-blocking.
                    var watched = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                    _ = poll(&watched, 1, -1)
                } else if errno != EINTR {
                    throw failure(errno)
                }
            }
        }
    }

    /// As ``write(_:)``, for what goes beside the results: where it cannot be written, there is nowhere to say so.
    func say(_ text: String) {
        try? write(text)
    }

    private func failure(_ code: Int32) -> Failure {
        if code == EPIPE, descriptor == STDOUT_FILENO {
            // The parent ignores the signal, and so did we until now.
            signal(SIGPIPE, SIG_DFL)
            raise(SIGPIPE)
        }
        let name = descriptor == STDOUT_FILENO ? "standard output" : "standard error"
        return Failure(.failed, "\(name) cannot be written: \(String(cString: strerror(code)))")
    }

    func styled(_ text: String, _ styles: Style...) -> String {
        guard usesColour, !styles.isEmpty else { return text }
        return "\u{1B}[\(styles.map(\.rawValue).joined(separator: ";"))m\(text)\u{1B}[0m"
    }

    /// Columns of the terminal; nil where there is none, so that nothing is cut off in a file.
    var width: Int? {
        guard isInteractive else { return nil }
        var size = winsize()
        guard ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 80 }
        return Int(size.ws_col)
    }
}

/// The system's `write`, which methods of that name hide.
func writeBytes(_ descriptor: Int32, _ bytes: UnsafeRawPointer?, _ count: Int) -> Int {
    #if canImport(Glibc)
        Glibc.write(descriptor, bytes, count)
    #else
        Darwin.write(descriptor, bytes, count)
    #endif
}

extension BinaryInteger {
    /// 1234567 as “1,234,567”.
    var grouped: String {
        let digits = String(magnitude)
        var groups: [Substring] = []
        var rest = digits[...]
        while rest.count > 3 {
            groups.insert(rest.suffix(3), at: 0)
            rest = rest.dropLast(3)
        }
        groups.insert(rest, at: 0)
        return (self < 0 ? "-" : "") + groups.joined(separator: ",")
    }
}

extension Duration {
    var seconds: Double {
        Double(components.seconds) + Double(components.attoseconds) * 1e-18
    }

    /// “0.8 ms”, “12 ms”, “3.4 s”, “2 min 05 s”: as precise as a person wants it.
    var brief: String {
        switch seconds {
        case ..<0.0995: (seconds * 1000).fixed(seconds < 0.00995 ? 2 : 1) + " ms"
        case ..<1: (seconds * 1000).fixed(0) + " ms"
        case ..<60: seconds.fixed(1) + " s"
        case ..<3600: "\(Int(seconds) / 60) min \(Int(seconds) % 60) s"
        default: "\(Int(seconds) / 3600) h \(Int(seconds) % 3600 / 60) min"
        }
    }
}

extension Double {
    /// With exactly so many digits behind the point.
    func fixed(_ digits: Int) -> String {
        let scale = (0..<digits).reduce(1.0) { value, _ in value * 10 }
        let scaled = (magnitude * scale).rounded()
        let whole = Int(scaled / scale)
        let fraction = String(Int(scaled) - whole * Int(scale))
        let sign = self < 0 && scaled > 0 ? "-" : ""
        guard digits > 0 else { return sign + String(whole) }
        return sign + "\(whole)." + String(repeating: "0", count: digits - fraction.count) + fraction
    }
}
