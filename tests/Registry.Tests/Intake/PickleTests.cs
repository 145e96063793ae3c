using System.IO.Compression;
using System.Text;
using Google.Protobuf;
using Platform.Registry.Intake;
using Platform.Testing;
using Registry.Tests.Models;
using Registry.Tests.Onnx;

namespace Registry.Tests.Intake;

public sealed class PickleTests
{
    /// <summary>What Python's pickle.dumps writes, by protocol: a call of os.system, and harmless things.</summary>
    public static readonly TheoryData<string, string> Pickles = new()
    {
        { "os.system, protocol 0", Convert.ToHexString("cposix\nsystem\np0\n(Vid\np1\ntp2\nRp3\n."u8) },
        { "os.system, protocol 2", "80026370" + "6F7369780A73797374656D0A71005802000000696471018571025271032E" },
        { "os.system, protocol 4", "80049520000000000000008C05706F736978948C0673797374656D9493948C02696494859452942E" },
        { "a dictionary, protocol 2", "80027D7100580100000061710" + "14B01732E" },
        { "a dictionary, protocol 5", "8005950B000000000000007D948C0161944B01732E" },
        { "PyTorch's old format", "80028A0A6CFC9C46F9206AA850192E" },
    };

    [Theory]
    [MemberData(nameof(Pickles))]
    public void A_pickle_is_told_by_its_content(string what, string hex)
    {
        var pickle = Convert.FromHexString(hex);
        Pickle.Begins(pickle).ShouldBeTrue(what);
        // As joblib compresses it.
        Pickle.Begins(Packed(pickle, stream => new ZLibStream(stream, CompressionLevel.Fastest))).ShouldBeTrue(what);
        Pickle.Begins(Packed(pickle, stream => new GZipStream(stream, CompressionLevel.Fastest))).ShouldBeTrue(what);
    }

    [Fact]
    public void What_is_no_pickle_is_not_taken_for_one()
    {
        Pickle.Begins(SmallModel.Make().ToByteArray()).ShouldBeFalse();
        foreach (var text in new[] { "", "id,price\n1,2\n", "class Model:\n    pass\n", "{\"a\": 1}", "flavors:\n  onnx:\n", "import os\n", "(a, b)\n", "0.5\n0.25\n", "[1, 2]", "name: conda\nchannels:\n- defaults\n", "numpy==1.26\n", "PK", "\u0080" })
        {
            Pickle.Begins(Encoding.UTF8.GetBytes(text)).ShouldBeFalse(text);
        }

        Pickle.Begins([0x93, .. "NUMPY\x01\0v\0{'descr': '<f4', }"u8]).ShouldBeFalse();
        Pickle.Begins([0x93, .. "NUMPY\x01\0v\0{'descr': '|O', }"u8]).ShouldBeTrue();
    }

    [Fact]
    public void Bytes_that_fall_by_chance_are_hardly_ever_taken_for_one()
    {
        var random = new Random(7);
        var taken = Enumerable.Range(0, 100_000).Count(_ =>
        {
            var bytes = new byte[512];
            random.NextBytes(bytes);
            return Pickle.Begins(bytes);
        });
        taken.ShouldBeLessThanOrEqualTo(2);
    }

    [Fact]
    public async Task A_pickle_is_refused_whatever_it_is_called_and_wherever_it_hides()
    {
        var tenant = await TestTenant.NewAsync();
        await tenant.RegisterAsync("m");
        var pickle = Convert.FromHexString((string)Pickles.First()[1]);
        foreach (var file in new[]
        {
            pickle, Packed(pickle, stream => new ZLibStream(stream, CompressionLevel.Fastest)), Zip(("archive/data.pkl", pickle), ("archive/version", "3"u8.ToArray())),
            Zip(("weights.bin", pickle)), Zip(("filler", new byte[600_000]), ("weights.bin", pickle)),
        })
        {
            var problem = await (await tenant.Developer.UploadAsync("m", file)).ShouldRefuseAsync(400, "pickle");
            problem.GetProperty("mend").GetString()!.ShouldContain("ONNX");
        }

        using var form = new MultipartFormDataContent { { new ByteArrayContent(SmallModel.Make().ToByteArray()), "file", "model.joblib" } };
        await (await tenant.Developer.PostAsync($"{TestModels.Models}/m/versions", form)).ShouldRefuseAsync(400, "pickle");
        Blobs(tenant).ShouldBeEmpty();
    }

    [Fact]
    public async Task An_archive_that_is_a_trap_is_refused_with_what_it_does()
    {
        var tenant = await TestTenant.NewAsync();
        await tenant.RegisterAsync("m");
        await Refuses("absolute path", Zip(("/etc/passwd", [1])));
        await Refuses("climbs out", Zip(("a/../../b", [1])));
        await Refuses("climbs out", Zip(("a/%2e%2e/b", [1])));
        await Refuses("far more", Zip(("zeros", new byte[64 << 20])));
        await Refuses("a link", Link());
        Blobs(tenant).ShouldBeEmpty();

        async Task Refuses(string why, byte[] file) =>
            (await (await tenant.Developer.UploadAsync("m", file)).ShouldRefuseAsync(400, "unsafe-archive")).GetProperty("detail").GetString()!.ShouldContain(why);

        static byte[] Link()
        {
            using var stream = new MemoryStream();
            using (var zip = new ZipArchive(stream, ZipArchiveMode.Create, leaveOpen: true)) zip.CreateEntry("model").ExternalAttributes = unchecked((int)0xA1FF0000);
            return stream.ToArray();
        }
    }

    internal static byte[] Zip(params (string Name, byte[] Content)[] entries)
    {
        using var stream = new MemoryStream();
        using (var zip = new ZipArchive(stream, ZipArchiveMode.Create, leaveOpen: true))
        {
            foreach (var (name, content) in entries)
            {
                using var entry = zip.CreateEntry(name).Open();
                entry.Write(content);
            }
        }

        return stream.ToArray();
    }

    private static string[] Blobs(TestTenant tenant) =>
        Path.Combine(tenant.App.Data, "blobs", tenant.Id) is var folder && Directory.Exists(folder) ? Directory.GetFiles(folder, "*", SearchOption.AllDirectories) : [];

    private static byte[] Packed(byte[] content, Func<Stream, Stream> pack)
    {
        using var stream = new MemoryStream();
        using (var packing = pack(stream)) packing.Write(content);
        return stream.ToArray();
    }
}
