// swift-tools-version: 6.2

import PackageDescription

// A package of its own: nobody who uses Millrace builds it. It goes by Millrace's public symbols alone, against a PostgreSQL that it
// starts itself, so that no hook for tests stands in the code that is measured, and what is counted is what a service pays, the
// client library of PostgreSQL included.
let package = Package(
    name: "benchmarks",
    platforms: [.macOS(.v15)],
    dependencies: [
        .package(name: "millrace", path: ".."),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.0"),
        .package(url: "https://github.com/swiftlang/swift-subprocess", from: "1.0.2"),
    ],
    targets: [
        .target(name: "AllocationCount"),
        .executableTarget(
            name: "Benchmarks",
            dependencies: [
                "AllocationCount",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "Millrace", package: "millrace"),
                .product(name: "MillraceEmbedded", package: "millrace"),
                .product(name: "MillracePostgres", package: "millrace"),
                .product(name: "Subprocess", package: "swift-subprocess"),
            ],
            swiftSettings: [
                .enableUpcomingFeature("ExistentialAny"),
                .enableUpcomingFeature("MemberImportVisibility"),
                .enableUpcomingFeature("InternalImportsByDefault"),
                .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
            ],
            // valgrind gives up on the newer debug information of the compiler, and needs none to count.
            linkerSettings: [.unsafeFlags(["-Xlinker", "-s"], .when(platforms: [.linux]))]
        ),
    ],
    swiftLanguageModes: [.v6]
)
