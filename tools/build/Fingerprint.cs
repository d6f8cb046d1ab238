// Decides whether a product is up to date: by the content of what it was made of, not by dates.
using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Security.Cryptography;
using System.Text;

namespace Lamina.Tools.Build;

/// <summary>A hash over inputs, kept in a stamp file beside the products once these are whole.</summary>
public sealed class Fingerprint
{
    private readonly IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);

    public Fingerprint Add(string text)
    {
        hash.AppendData(Encoding.UTF8.GetBytes(text + "\0"));
        return this;
    }

    public Fingerprint Add(IEnumerable<string> files)
    {
        foreach (string file in files.Order(StringComparer.Ordinal))
        {
            Add(file);
            if (File.Exists(file))
                hash.AppendData(File.ReadAllBytes(file));
        }
        return this;
    }

    public string Value() => Convert.ToHexString(hash.GetCurrentHash());

    /// <summary>True when the stamp holds this value and every product is there.</summary>
    public static bool IsCurrent(string stamp, string value, IEnumerable<string> products) =>
        File.Exists(stamp) && File.ReadAllText(stamp) == value && products.All(File.Exists);
}
